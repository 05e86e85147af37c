"""Key services: what wraps the day keys. One port, four adapters, chosen by the settings.

::

    port.py           what a key service promises
    settings.py       which one, and how to reach it
    settings_file.py  the same from a YAML file
    opening.py        settings -> service; imports the one that was chosen, and nothing of the others
    file.py           AES-256-GCM under a local file
    succession.py     two services in one, to move from one to the other
    rotation.py       a fresh key into that file, the old one beside it
    transit.py        Vault or OpenBao, transit engine
    aws_kms.py        AWS Key Management Service
    pkcs11.py         a hardware security module
    pkcs11_module.py  its library, and the one thread that calls it
    address.py        where keys and tokens may be sent
    patience.py       time limits and attempts, the same for those that are far away
"""
