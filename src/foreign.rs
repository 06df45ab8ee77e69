//! Conversions of the types of other crates, each behind the feature that is called like its crate.

#[cfg(feature = "rust_decimal")]
mod decimal {
    use rust_decimal::Decimal;

    use crate::convert::{FromValue, mismatch};
    use crate::error::{Error, ErrorKind, Result};
    use crate::params::{BoundValue, ToValue};
    use crate::value::{Value, ValueRef};

    /// From a decimal number, a text or an integer. A number with more digits than a `Decimal` has is an error.
    impl<'a> FromValue<'a> for Decimal {
        fn from_value(value: ValueRef<'a>) -> Result<Self> {
            let text = match value {
                ValueRef::Decimal(text) | ValueRef::Text(text) => text,
                ValueRef::Int(value) => return Ok(Decimal::from(value)),
                other => return mismatch(other, "decimal"),
            };
            Decimal::from_str_exact(text).map_err(|error| {
                Error::new(
                    ErrorKind::Conversion,
                    format!("{text:?} does not fit a decimal: {error}"),
                )
            })
        }
    }

    /// In a column of dqlite's that is declared DECIMAL or NUMERIC, SQLite makes a float of it; one declared TEXT keeps it.
    impl ToValue for Decimal {
        fn to_value(&self) -> Result<BoundValue<'_>> {
            Ok(Value::Decimal(self.to_string()).into())
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_decimal_goes_both_ways_with_all_its_digits() {
            let price: Decimal = "-12345678901234567890.10".parse().unwrap();
            let bound = price.to_value().unwrap();
            assert_eq!(
                bound.as_ref(),
                ValueRef::Decimal("-12345678901234567890.10")
            );
            assert_eq!(Decimal::from_value(bound.as_ref()).unwrap(), price);
            let text = ValueRef::Text("1.50");
            assert_eq!(Decimal::from_value(text).unwrap().to_string(), "1.50");
            assert_eq!(
                Decimal::from_value(ValueRef::Int(-3)).unwrap(),
                Decimal::from(-3)
            );
            let long = "0.12345678901234567890123456789012345";
            for value in [
                ValueRef::Decimal(long),
                ValueRef::Decimal("NaN"),
                ValueRef::Float(0.1),
            ] {
                let error = Decimal::from_value(value).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Conversion, "{error}");
            }
        }
    }
}

#[cfg(feature = "time")]
mod time {
    use chrono::{DateTime, FixedOffset, NaiveDate};
    use time::{Date, OffsetDateTime, PrimitiveDateTime, UtcOffset};

    use crate::convert::FromValue;
    use crate::error::{Error, ErrorKind, Result};
    use crate::params::{BoundValue, ToValue};
    use crate::time::{from_unix_days, unix_days};
    use crate::value::ValueRef;

    /// The Julian day of 1970-01-01.
    const EPOCH: i32 = 2_440_588;

    #[cold]
    fn out_of_range(value: impl std::fmt::Display, kind: ErrorKind) -> Error {
        Error::new(kind, format!("the year of {value} is out of range"))
    }

    impl<'a> FromValue<'a> for OffsetDateTime {
        fn from_value(value: ValueRef<'a>) -> Result<Self> {
            let time = DateTime::<FixedOffset>::from_value(value)?;
            let nanos = i128::from(time.timestamp()) * 1_000_000_000
                + i128::from(time.timestamp_subsec_nanos());
            let offset = UtcOffset::from_whole_seconds(time.offset().local_minus_utc()).ok();
            OffsetDateTime::from_unix_timestamp_nanos(nanos)
                .ok()
                .zip(offset)
                .and_then(|(utc, offset)| utc.checked_to_offset(offset))
                .ok_or_else(|| out_of_range(time, ErrorKind::Conversion))
        }
    }

    /// In UTC.
    impl<'a> FromValue<'a> for PrimitiveDateTime {
        fn from_value(value: ValueRef<'a>) -> Result<Self> {
            let time = OffsetDateTime::from_value(value)?.to_offset(UtcOffset::UTC);
            Ok(PrimitiveDateTime::new(time.date(), time.time()))
        }
    }

    impl<'a> FromValue<'a> for Date {
        fn from_value(value: ValueRef<'a>) -> Result<Self> {
            let date = NaiveDate::from_value(value)?;
            i32::try_from(unix_days(date))
                .ok()
                .and_then(|days| Date::from_julian_day(days.checked_add(EPOCH)?).ok())
                .ok_or_else(|| out_of_range(date, ErrorKind::Conversion))
        }
    }

    impl ToValue for OffsetDateTime {
        fn to_value(&self) -> Result<BoundValue<'_>> {
            let offset = FixedOffset::east_opt(self.offset().whole_seconds());
            DateTime::from_timestamp(self.unix_timestamp(), self.nanosecond())
                .zip(offset)
                .map(|(utc, offset)| ValueRef::Timestamp(utc.with_timezone(&offset)).into())
                .ok_or_else(|| out_of_range(self, ErrorKind::Misuse))
        }
    }

    /// As a time in UTC.
    impl ToValue for PrimitiveDateTime {
        fn to_value(&self) -> Result<BoundValue<'_>> {
            DateTime::from_timestamp(self.assume_utc().unix_timestamp(), self.nanosecond())
                .map(|utc| ValueRef::Timestamp(utc.fixed_offset()).into())
                .ok_or_else(|| out_of_range(self, ErrorKind::Misuse))
        }
    }

    impl ToValue for Date {
        fn to_value(&self) -> Result<BoundValue<'_>> {
            from_unix_days(self.to_julian_day() - EPOCH)
                .map(|date| ValueRef::Date(date).into())
                .ok_or_else(|| out_of_range(self, ErrorKind::Misuse))
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::time::parse_timestamp;

        #[test]
        fn a_time_goes_both_ways() {
            for text in [
                "2024-02-29 12:34:56.789012345+02:00",
                "1969-12-31 23:59:59.000000001-07:30",
            ] {
                let sent = ValueRef::Timestamp(parse_timestamp(text).unwrap());
                let time = OffsetDateTime::from_value(sent).unwrap();
                assert_eq!(time.to_value().unwrap().as_ref(), sent, "{text}");
                let utc = PrimitiveDateTime::from_value(sent).unwrap();
                assert_eq!(utc.assume_utc(), time);
                let ValueRef::Timestamp(back) = utc.to_value().unwrap().as_ref() else {
                    panic!("{text}");
                };
                assert_eq!(ValueRef::Timestamp(back.fixed_offset()), sent, "{text}");
            }
        }

        #[test]
        fn a_day_goes_both_ways() {
            for text in ["2024-02-29", "1970-01-01", "0001-01-01"] {
                let sent = ValueRef::Date(text.parse().unwrap());
                let date = Date::from_value(sent).unwrap();
                assert_eq!(date.to_string(), text);
                assert_eq!(date.to_value().unwrap().as_ref(), sent);
            }
            let far = NaiveDate::from_ymd_opt(12_000, 1, 1).unwrap();
            let error = Date::from_value(ValueRef::Date(far)).unwrap_err();
            assert!(error.message().contains("out of range"), "{error}");
        }
    }
}
