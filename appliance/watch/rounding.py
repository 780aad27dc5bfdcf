"""Health as it is stored."""

from __future__ import annotations

from appliance.faces import Health


def rounded(health: Health) -> Health:
    """In whole percent, px and ms, so that it differs only where somebody would see it; shares within 0 and 1."""

    def share(value: float | None) -> float | None:
        return None if value is None else round(min(1.0, max(0.0, value)), 2)

    def whole(value: float | None) -> float | None:
        return None if value is None else round(value)

    return Health(
        share(health.too_small),
        share(health.looks),
        whole(health.smallest_face_px),
        whole(health.decoding_ms),
        whole(health.idle_ms),
        None if health.delay_s is None else round(health.delay_s, 1),
    )
