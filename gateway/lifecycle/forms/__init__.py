"""Rules as forms: most changes need no Rego, and no YAML either.

* `shipped.py`   which forms there are, and what may stand in each
* `kinds.py`     what a field can hold, from a program or from a page
* `view.py`      a form over the files of a draft, both ways
* `yaml_edit.py` writing a value into a file, and nothing else of the file
"""

from gateway.lifecycle.forms.shipped import FORMS, Form
from gateway.lifecycle.forms.view import changes_of, form_named, is_there, parsed, values_of

__all__ = ["FORMS", "Form", "changes_of", "form_named", "is_there", "parsed", "values_of"]
