"""SubjectAccessReviews: what one asks, and whether a server takes it at all. Pure."""

from typing import Any

import msgspec

from shipkeeper.access.attributes import Attributes, ResourceAttributes, SelectorTerm, User
from shipkeeper.errors import ShipkeeperError, UsageError
from shipkeeper.model.base import KubeStruct
from shipkeeper.model.selector import Requirement, is_label_key, is_label_value, parse_selector

# First minor that looks at selectors in reviews.
_SELECTORS = 32
_VALUED = ("In", "NotIn")
_UNVALUED = ("Exists", "DoesNotExist")


class InvalidReviewError(ShipkeeperError):
    """A server answers such a review with 422."""


class _Requirement(KubeStruct, frozen=True, kw_only=True):
    key: str = ""
    operator: str = ""
    values: tuple[str, ...] | None = None


class _Selector(KubeStruct, frozen=True, kw_only=True):
    raw_selector: str = ""
    requirements: tuple[_Requirement, ...] | None = None


class _Resource(ResourceAttributes, frozen=True, kw_only=True):
    field_selector: _Selector | None = None
    label_selector: _Selector | None = None


class _NonResource(KubeStruct, frozen=True, kw_only=True):
    path: str = ""
    verb: str = ""


class ReviewSpec(KubeStruct, frozen=True, kw_only=True):
    """A review's spec; `group` is what v1beta1 calls the groups."""

    user: str = ""
    groups: tuple[str, ...] | None = None
    group: tuple[str, ...] | None = None
    uid: str = ""
    extra: dict[str, tuple[str, ...]] | None = None
    resource_attributes: _Resource | None = None
    non_resource_attributes: _NonResource | None = None


class Asked(msgspec.Struct, frozen=True):
    """What a review asks, and what of its selectors the server leaves out."""

    attributes: Attributes
    error: str = ""


def read_review(spec: dict[str, Any], minor: int) -> Asked:
    """What a server of version 1.`minor` makes of a spec; InvalidReviewError where it says 422."""
    return read_spec(msgspec.convert(spec, type=ReviewSpec), minor)


def read_spec(spec: ReviewSpec, minor: int) -> Asked:
    """The same for a decoded spec."""
    groups = spec.groups or spec.group or ()
    if (spec.resource_attributes is None) == (spec.non_resource_attributes is None):
        raise _invalid("exactly one of resourceAttributes and nonResourceAttributes must be there")
    if not spec.user and not groups:
        raise _invalid("a user or groups must be there")
    user = User(name=spec.user, groups=groups, uid=spec.uid, extra=spec.extra or {})
    if spec.non_resource_attributes is not None:
        about = spec.non_resource_attributes
        asked = Attributes(user=user, verb=about.verb, path=about.path, resource_request=False)
        return Asked(asked)
    assert spec.resource_attributes is not None  # noqa: S101  (one of both is there)
    return _about_resource(user, spec.resource_attributes, has_selectors=minor >= _SELECTORS)


def _about_resource(user: User, about: _Resource, *, has_selectors: bool) -> Asked:
    fields: tuple[SelectorTerm, ...] = ()
    labels: tuple[SelectorTerm, ...] = ()
    errors: list[str] = []
    if has_selectors and about.field_selector is not None:
        _check(about.field_selector, "fieldSelector")
        fields, is_whole = _field_terms(about.field_selector)
        errors += _left_out("fieldSelector", fields, is_whole=is_whole)
    if has_selectors and about.label_selector is not None:
        _check(about.label_selector, "labelSelector")
        labels, is_whole = _label_terms(about.label_selector)
        errors += _left_out("labelSelector", labels, is_whole=is_whole)
    asked = Attributes(
        user=user,
        verb=about.verb,
        namespace=about.namespace,
        group=about.group,
        version=about.version or "*",
        resource=about.resource,
        subresource=about.subresource,
        name=about.name,
        fields=fields,
        labels=labels,
    )
    return Asked(asked, "; ".join(errors))


def _left_out(what: str, terms: tuple[SelectorTerm, ...], *, is_whole: bool) -> list[str]:
    if is_whole:
        return []
    how_far = "partially ignored" if terms else "ignored"
    return [f"spec.resourceAttributes.{what} {how_far} due to parse error"]


def _check(selector: _Selector, what: str) -> None:
    requirements = selector.requirements or ()
    if bool(selector.raw_selector) == bool(requirements):
        raise _invalid(f"{what} needs either rawSelector or requirements")
    for each in requirements:
        if not each.key:
            raise _invalid(f"a requirement of {what} has no key")
        if what == "labelSelector" and not is_label_key(each.key):
            raise _invalid(f"a requirement of {what} has the key {each.key!r}, which is none")
        if each.operator in _VALUED and not each.values:
            raise _invalid(f"a requirement of {what} has operator {each.operator} and no values")
        if each.operator in _UNVALUED and each.values:
            raise _invalid(f"a requirement of {what} has operator {each.operator} and values")


def _field_terms(selector: _Selector) -> tuple[tuple[SelectorTerm, ...], bool]:
    """What is understood, and whether that is everything."""
    if selector.raw_selector:
        return _raw_field_terms(selector.raw_selector)
    requirements = selector.requirements or ()
    kept = [
        SelectorTerm(each.key, each.operator, each.values)
        for each in requirements
        if each.operator in _VALUED and each.values and len(each.values) == 1
    ]
    return tuple(kept), len(kept) == len(requirements)


def _raw_field_terms(raw: str) -> tuple[tuple[SelectorTerm, ...], bool]:
    terms: list[SelectorTerm] = []
    for part in raw.split(","):
        if not part:
            continue
        for mark, operator in (("!=", "NotIn"), ("==", "In"), ("=", "In")):
            key, found, value = part.partition(mark)
            if found:
                terms.append(SelectorTerm(key, operator, (value,)))
                break
        else:
            return (), False
    return tuple(terms), True


def _label_terms(selector: _Selector) -> tuple[tuple[SelectorTerm, ...], bool]:
    if selector.raw_selector:
        try:
            found = parse_selector(selector.raw_selector).match_expressions
        except UsageError:
            return (), False
        return tuple(_term(each) for each in found), True
    requirements = selector.requirements or ()
    kept = [
        SelectorTerm(each.key, each.operator, each.values or ())
        for each in requirements
        if each.operator in (*_VALUED, *_UNVALUED) and all(map(is_label_value, each.values or ()))
    ]
    return tuple(kept), len(kept) == len(requirements)


def _term(requirement: Requirement) -> SelectorTerm:
    return SelectorTerm(requirement.key, requirement.operator, requirement.values)


def _invalid(why: str) -> InvalidReviewError:
    return InvalidReviewError(
        f"a server refuses this SubjectAccessReview: {why}",
        reason="Invalid",
        hint="ask about one resource or one URL, for a user or groups",
    )
