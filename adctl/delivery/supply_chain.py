"""The supply chain: everybody who has sold an impression on, from its owner to the exchange.

The SupplyChain object, version 1.0, in ``source.schain`` [OpenRTB 2.6, 3.2.25], or in
``source.ext.schain`` as 2.5 has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adctl.delivery import reasons

if TYPE_CHECKING:
    from adctl.openrtb import Source, SupplyChain


def chain_refusal(source: Source | None, *, require_complete: bool) -> str:
    """Return the reason why a request with this chain cannot be bid on, or ''.

    A chain that is there has to be one. With ``require_complete`` one has to be there, say that it
    is complete, and be of the version we know.
    """
    chain = None
    if source is not None:
        chain = source.schain or (source.ext.schain if source.ext else None)
    if chain is None:
        return reasons.SCHAIN if require_complete else ""
    if not _is_chain(chain) or (require_complete and not (chain.complete and _is_known(chain))):
        return reasons.SCHAIN
    return ""


def _is_chain(chain: SupplyChain) -> bool:
    # hp is 1 in version 1.0 whatever is meant, so leaving it out says no less.
    return (
        chain.complete in (0, 1)
        and bool(chain.nodes)
        and all(
            bool(node.asi) and node.sid not in (None, "") and node.hp in (None, 0, 1)
            for node in chain.nodes or ()
        )
    )


def _is_known(chain: SupplyChain) -> bool:
    return str(chain.ver).split(".")[0] == "1"
