"""What we keep of a person and of a group, and what we say about ourselves.

RFC 7643 knows thirty attributes of a person. We keep those that decide who may do what, or that name somebody on a
page; the rest is read and dropped: passwords, addresses, telephone numbers and photographs of people are nothing an
image service should hold (GDPR, article 5(1)(c)). `/Schemas` says the same to every client.
"""

from typing import Annotated, Any, ClassVar, Final, Generic

from pydantic import Field
from scim2_models import (
    URN,
    AuthenticationScheme,
    Bulk,
    CaseExact,
    ChangePassword,
    ComplexAttribute,
    ETag,
    Extension,
    Filter,
    Mutability,
    Patch,
    Reference,
    Required,
    Resource,
    ResourceType,
    SchemaExtension,
    ScimPolicy,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
    Uniqueness,
)
from scim2_models.resources.resource import AnyExtension

PAGE_RESOURCES: Final = 200
"""Most resources in one answer (`filter.maxResults`); a client asks for the next page by `startIndex`."""

ENTERPRISE: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


class Name(ComplexAttribute):
    """RFC 7643, section 4.1.1, without honorifics."""

    formatted: str | None = None
    family_name: str | None = None
    given_name: str | None = None
    middle_name: str | None = None


class Email(ComplexAttribute):
    """A plain string, not a checked address: directories hold `.local` and worse, and we send nothing there."""

    value: str | None = None
    type: str | None = Field(None, examples=["work", "home", "other"])
    primary: bool | None = None


class GroupMembership(ComplexAttribute):
    """One group of a person; read-only, because groups are changed at the group (RFC 7643, section 4.1.2)."""

    value: Annotated[str | None, Mutability.read_only, CaseExact.true] = None
    ref: Annotated[Reference["Group"] | None, Mutability.read_only] = Field(
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    display: Annotated[str | None, Mutability.read_only] = None
    type: Annotated[str | None, Mutability.read_only] = Field(None, examples=["direct"])


class Manager(ComplexAttribute):
    """Whom somebody reports to: the `id` of a person here."""

    value: Annotated[str | None, CaseExact.true] = None


class EnterpriseUser(Extension):
    """RFC 7643, section 4.3, as far as policy asks for it."""

    __schema__ = URN(ENTERPRISE)

    employee_number: str | None = None
    organization: str | None = None
    department: str | None = None
    manager: Manager | None = None


class User(Resource[AnyExtension], Generic[AnyExtension]):
    """A person of the directory."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:User")

    user_name: Annotated[str | None, Uniqueness.server, Required.true] = None
    name: Name | None = None
    display_name: str | None = None
    title: str | None = None
    preferred_language: str | None = None
    active: bool | None = None
    emails: list[Email] | None = None
    groups: Annotated[list[GroupMembership] | None, Mutability.read_only] = None

    Name: ClassVar[type[ComplexAttribute]] = Name
    Emails: ClassVar[type[ComplexAttribute]] = Email
    Groups: ClassVar[type[ComplexAttribute]] = GroupMembership


class Member(ComplexAttribute):
    """One person in a group. Groups in groups are not offered: whoever gives access must be seen at one glance.
    No `display`: a person's name is at the person."""

    value: Annotated[str | None, Mutability.immutable, CaseExact.true] = None
    ref: Annotated[Reference["User"] | None, Mutability.immutable] = Field(  # type: ignore[type-arg]
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    type: Annotated[str | None, Mutability.immutable] = Field(None, examples=["User"])


class Group(Resource[Any]):
    """A group of the directory."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:Group")

    display_name: Annotated[str | None, Required.true] = None
    members: list[Member] | None = None

    Members: ClassVar[type[ComplexAttribute]] = Member


POLICY: Final = ScimPolicy(
    unknown=ScimPolicy.Unknown.ignore,
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
)
"""What directories may write differently from RFC 7644: attributes that we don't keep are dropped, Entra ID removes
members by value, and it replaces `emails[type eq "work"].value` of somebody who has none yet."""


def description() -> ScimProvider:
    """What a client finds at /ServiceProviderConfig, /ResourceTypes and /Schemas."""
    return ScimProvider(
        models=[User, EnterpriseUser, Group],
        resource_types=[
            ResourceType(
                id="User",
                name="User",
                endpoint="/Users",
                description="A person of the directory",
                schema_=User.__schema__,
                schema_extensions=[SchemaExtension(schema_=EnterpriseUser.__schema__, required=False)],
            ),
            ResourceType(
                id="Group",
                name="Group",
                endpoint="/Groups",
                description="A group of the directory",
                schema_=Group.__schema__,
            ),
        ],
        config=ServiceProviderConfig(
            patch=Patch(supported=True),
            bulk=Bulk(supported=False, max_operations=0, max_payload_size=0),
            filter=Filter(supported=True, max_results=PAGE_RESOURCES),
            change_password=ChangePassword(supported=False),
            sort=Sort(supported=True),
            etag=ETag(supported=True),
            authentication_schemes=[
                AuthenticationScheme(
                    type=AuthenticationScheme.Type.oauthbearertoken,
                    name="Bearer token",
                    description="The token that this directory was given",
                    spec_uri=Reference("https://datatracker.ietf.org/doc/html/rfc6750"),
                    primary=True,
                )
            ],
        ),
        policy=POLICY,
    )
