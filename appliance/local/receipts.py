"""Receipts of what was deleted: a page for people, JSON for programs. Admins see all, others their own."""

from __future__ import annotations

from bottle import HTTPResponse
from msgspec import Struct

from appliance.accounts.guard import Visitor
from appliance.errors import NotFound
from appliance.language import _
from appliance.local.api_types import Time
from appliance.local.pages import Site
from appliance.store import Kind, Receipt, Store
from appliance.store.deletions import Progress
from appliance.web.access import Access, App
from appliance.web.api import answer
from appliance.web.openapi import Operation
from appliance.web.pages import Page


class DeletionReceipt(Struct, kw_only=True):
    """What was deleted. sha256: over the detections that were, see docs/privacy.md. by: empty: the box's command line.

    finished: since when nothing of it is left on the disk of the box, but in backups made before; null: not yet.
    """

    id: int
    kind: Kind
    title: str
    by: str
    deleted: Time
    detections: int
    images: int
    image_bytes: int
    sha256: str
    finished: Time | None


class DeletionReceipts(Struct, kw_only=True):
    """The latest receipts, newest first."""

    receipts: list[DeletionReceipt]


OPERATIONS = (
    Operation("GET", "/api/v1/receipts", "Receipts of what was deleted; for an admin all", DeletionReceipts),
    Operation("GET", "/api/v1/receipts/{receipt_id}", "One receipt", DeletionReceipt),
)


def add_routes(app: App, site: Site) -> None:
    """See receipts."""

    @app.get("/receipts", access=Access.SIGNED_IN)
    def receipts(store: Store, visitor: Visitor) -> Page:
        return site.pages.page("receipts.html", receipts=_newest(store, visitor))

    @app.get("/receipts/<receipt_id:int>", access=Access.SIGNED_IN)
    def receipt(store: Store, visitor: Visitor, receipt_id: int) -> Page:
        found = _find(store, visitor, receipt_id)
        return site.pages.page(
            "receipt.html",
            receipt=found,
            backups=site.config.backup.keep,
            progress=next(iter(store.deletions.progress(receipt_id=receipt_id)), None),
            images=_images_left(store, found),
        )

    @app.get("/receipts/<receipt_id:int>.json", access=Access.SIGNED_IN)
    def receipt_file(store: Store, visitor: Visitor, receipt_id: int) -> HTTPResponse:
        found = answer(_json(_find(store, visitor, receipt_id)))
        found.set_header("Content-Disposition", f'attachment; filename="receipt-{receipt_id}.json"')
        return found

    @app.get("/api/v1/receipts", access=Access.SIGNED_IN)
    def all_receipts(store: Store, visitor: Visitor) -> HTTPResponse:
        """The latest."""
        return answer(DeletionReceipts(receipts=[_json(each) for each in _newest(store, visitor)]))

    @app.get("/api/v1/receipts/<receipt_id:int>", access=Access.SIGNED_IN)
    def one_receipt(store: Store, visitor: Visitor, receipt_id: int) -> HTTPResponse:
        """One of them."""
        return answer(_json(_find(store, visitor, receipt_id)))


def _newest(store: Store, visitor: Visitor) -> list[Receipt]:
    return store.receipts.newest(None if visitor.is_admin else visitor.name)


def _find(store: Store, visitor: Visitor, receipt_id: int) -> Receipt:
    """Raises NotFound, also for another's."""
    found = store.receipts.get(receipt_id) if receipt_id < 2**63 else None
    if found is None or not (visitor.is_admin or found.by_name == visitor.name):
        raise NotFound(_("There is no such receipt, or it is another's."))
    return found


def _images_left(store: Store, receipt: Receipt) -> Progress | None:
    """How many of its images are overwritten; None: all, or there were none.

    Which of those that wait belong to which receipt is not noted: as many as can be do.
    """
    total = receipt.deleted.images
    if receipt.finished_utc or not total:
        return None
    left = store.erasures.count() + store.deletions.images_left(receipt.id)
    return Progress(receipt.id, receipt.title, min(left, total), total) if left else None


def _json(receipt: Receipt) -> DeletionReceipt:
    return DeletionReceipt(
        id=receipt.id,
        kind=receipt.kind,
        title=receipt.title,
        by=receipt.by_name,
        deleted=receipt.at_utc,
        detections=receipt.deleted.detections,
        images=receipt.deleted.images,
        image_bytes=receipt.deleted.image_bytes,
        sha256=receipt.deleted.sha256,
        finished=receipt.finished_utc,
    )
