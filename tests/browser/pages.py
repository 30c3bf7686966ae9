"""Each page there is, by a short name."""

from typing import Final

#: Name -> path, of the showcase.
PAGES: Final = {
    "containers": "/",
    "container": "/targets/host1:shop-web-1",
    "relieved": "/targets/host1:shop-search-1",
    "held": "/targets/host1:shop-db-1",
    "hostile": "/targets/host1:office-cron-1",
    "story": "/remediations/billing-worker-1-mwro49g0",
    "hostile-story": "/remediations/office-cron-1-mwro18g0",
    "pause": "/pause",
    "restart": "/targets/host1:shop-web-1/restart",
    "scale-out": "/targets/host1:shop-web-1/scale-out",
    "refused": "/targets/host1:shop-db-1/scale-out",
    "cancel": "/remediations/shop-web-1-mwro22g0/cancel",
    "api": "/docs",
}
