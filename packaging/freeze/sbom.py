"""A bill of materials in CycloneDX 1.6. Knows what is shipped; does not know how it was found out."""

import re
import uuid
from collections.abc import Iterable
from typing import Any

from shipped import Component

# One expression of SPDX: identifiers, joined. Anything else is a licence's name in its maker's words.
_EXPRESSION = re.compile(r"[A-Za-z0-9.+-]*[\d.][A-Za-z0-9.+-]*( (AND|OR|WITH) [A-Za-z0-9.+-]+)*|MIT|ISC|Zlib")
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "parley.sbom")


def document(components: Iterable[Component], name: str, version: str, when: str) -> dict[str, Any]:
    """The bill of the bundle `name`. `when` is an ISO 8601 time; the same shipment gives the same document."""
    listed = [_component(component) for component in components]
    identity = "\n".join([name, version, *(entry["bom-ref"] for entry in listed)])
    own = f"pkg:generic/parley@{version}"
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, identity)}",
        "version": 1,
        "metadata": {
            "timestamp": when,
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": name,
                "version": version,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
                "purl": own,
            },
        },
        "components": listed,
        "dependencies": [{"ref": own, "dependsOn": [entry["bom-ref"] for entry in listed]}],
    }


def _component(component: Component) -> dict[str, Any]:
    version = component.version.replace("+", "%2B").replace(":", "%3A")
    kinds = {"pypi": "pypi", "deb": "deb/debian", "python": "generic"}
    purl = f"pkg:{kinds[component.origin]}/{component.name.replace('+', '%2B')}@{version}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": component.name,
        "version": component.version,
        "licenses": [_licence(component.licence)],
        "purl": purl,
    }


def _licence(licence: str) -> dict[str, Any]:
    if _EXPRESSION.fullmatch(licence):
        return {"expression": licence}
    return {"license": {"name": licence}}
