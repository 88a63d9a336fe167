"""What the billing page shows, taken in one go: for the page, for its twins and for its stream."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import inspect
from starlette.requests import Request

from billing.accounts import get_organization_by_id
from billing.estimates import (
    PRODUCT,
    CostShare,
    DayCost,
    Estimate,
    current_estimate,
    daily_costs,
)
from billing.ids import OrgId
from billing.invoices import SyncHealth, invoices_for_org, sync_health
from billing.models import Invoice, Organization
from billing.runtime import Runtime
from web.rendering import fragment
