"""What every row shares: column types decided once, names for constraints, exact fractions."""

import enum
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    DateTime,
    Dialect,
    Enum,
    LargeBinary,
    MetaData,
    Numeric,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncAttrs
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator

from billing import ids

Json = dict[str, Any]

_UUIDS = (
    ids.OrgId,
    ids.UserId,
    ids.ApiKeyId,
    ids.MeterId,
    ids.PlanId,
    ids.PriceId,
    ids.PriceVersionId,
    ids.SubscriptionId,
    ids.InvoiceId,
    ids.LineId,
    ids.OneOffItemId,
    ids.OverrideId,
    ids.CouponId,
    ids.GrantId,
    ids.CreditNoteId,
    ids.HoldId,
    ids.EntryId,
)
_TEXTS = (
    ids.StripeCustomerId,
    ids.StripeInvoiceId,
    ids.StripeCreditNoteId,
    ids.StripeEventId,
)


class ExactAmount(TypeDecorator[Fraction]):
    """A fraction of minor units as `numerator/denominator`: a prorated fee has no last decimal."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Fraction | None, dialect: Dialect) -> str | None:
        """`Fraction(1, 3)` is stored as "1/3"."""
        return None if value is None else f"{value.numerator}/{value.denominator}"

    def process_result_value(self, value: str | None, dialect: Dialect) -> Fraction | None:
        """Back, exactly."""
        return None if value is None else Fraction(value)


class Base(AsyncAttrs, DeclarativeBase):
    """Column types: ids uuid, int bigint, Decimal numeric, datetime timestamptz, enums text."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[Any] = {
        UUID: Uuid(),
        **dict.fromkeys(_UUIDS, Uuid()),
        str: Text(),
        **dict.fromkeys(_TEXTS, Text()),
        int: BigInteger(),
        bytes: LargeBinary(),
        Decimal: Numeric(38, 12),
        Fraction: ExactAmount(),
        datetime: DateTime(timezone=True),
        Json: JSONB(),
        enum.Enum: Enum(
            enum.Enum,
            native_enum=False,
            length=32,
            values_callable=lambda members: [member.value for member in members],
        ),
    }
