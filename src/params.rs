//! Parameters: what a caller binds to a statement.

use std::time::SystemTime;

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, TimeZone, Utc};
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::sql::ParameterList;
use crate::value::{Value, ValueRef};

/// A type that can be bound to a parameter.
pub trait ToValue {
    /// The value to be sent, borrowed where it is text or bytes.
    ///
    /// # Errors
    ///
    /// A number that no SQL integer can hold is of kind [`ErrorKind::Misuse`].
    fn to_value(&self) -> Result<ValueRef<'_>>;
}

macro_rules! to_value {
    ($($type:ty => |$value:ident| $result:expr),* $(,)?) => {
        $(impl ToValue for $type {
            fn to_value(&self) -> Result<ValueRef<'_>> {
                let $value = self;
                Ok($result)
            }
        })*
    };
}

to_value! {
    bool => |value| ValueRef::Bool(*value),
    i8 => |value| ValueRef::Int(i64::from(*value)),
    i16 => |value| ValueRef::Int(i64::from(*value)),
    i32 => |value| ValueRef::Int(i64::from(*value)),
    i64 => |value| ValueRef::Int(*value),
    u8 => |value| ValueRef::Int(i64::from(*value)),
    u16 => |value| ValueRef::Int(i64::from(*value)),
    u32 => |value| ValueRef::Int(i64::from(*value)),
    f32 => |value| ValueRef::Float(f64::from(*value)),
    f64 => |value| ValueRef::Float(*value),
    str => |value| ValueRef::Text(value),
    String => |value| ValueRef::Text(value),
    [u8] => |value| ValueRef::Blob(value),
    Vec<u8> => |value| ValueRef::Blob(value),
    DateTime<FixedOffset> => |value| ValueRef::Timestamp(*value),
    DateTime<Utc> => |value| ValueRef::Timestamp(value.fixed_offset()),
    NaiveDateTime => |value| ValueRef::Timestamp(Utc.from_utc_datetime(value).fixed_offset()),
    SystemTime => |value| ValueRef::Timestamp(DateTime::<Utc>::from(*value).fixed_offset()),
    NaiveDate => |value| ValueRef::Date(*value),
    Uuid => |value| ValueRef::Uuid(*value),
    Value => |value| value.as_ref(),
    ValueRef<'_> => |value| *value,
}

impl<const N: usize> ToValue for [u8; N] {
    fn to_value(&self) -> Result<ValueRef<'_>> {
        Ok(ValueRef::Blob(self))
    }
}

impl ToValue for u64 {
    fn to_value(&self) -> Result<ValueRef<'_>> {
        i64::try_from(*self).map(ValueRef::Int).map_err(|_| {
            Error::new(
                ErrorKind::Misuse,
                format!("{self} does not fit a 64-bit signed integer; bind it as text"),
            )
        })
    }
}

impl ToValue for usize {
    fn to_value(&self) -> Result<ValueRef<'_>> {
        i64::try_from(*self).map(ValueRef::Int).map_err(|_| {
            Error::new(
                ErrorKind::Misuse,
                format!("{self} does not fit a 64-bit signed integer; bind it as text"),
            )
        })
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Result<ValueRef<'_>> {
        self.as_ref().map_or(Ok(ValueRef::Null), ToValue::to_value)
    }
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> Result<ValueRef<'_>> {
        (**self).to_value()
    }
}

/// Parameters as a session takes them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ParamsRef<'a> {
    /// One value for each parameter, in their order.
    Positional(&'a [ValueRef<'a>]),
    /// Values by name, with or without the prefix (`:id`, `@id`, `$id`, `id`).
    Named(&'a [(&'a str, ValueRef<'a>)]),
}

impl ParamsRef<'_> {
    /// How many values there are.
    pub fn len(&self) -> usize {
        match self {
            ParamsRef::Positional(values) => values.len(),
            ParamsRef::Named(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The parameters of one call: `()` for none, a tuple, an array or slice of values of one type or of
/// `&dyn ToValue`, or an array or slice of `(name, value)`.
///
/// ```no_run
/// # fn main() -> quorate::Result<()> {
/// # let pool = quorate::Pool::open("dqlite://127.0.0.1:9001/app")?;
/// pool.exec("INSERT INTO item VALUES (?, ?)", (1, "brick"))?;
/// pool.exec("DELETE FROM item WHERE id IN (?, ?)", [1, 2])?;
/// pool.exec("DELETE FROM item WHERE id = :id", [(":id", 1)])?;
/// # Ok(()) }
/// ```
pub trait Params {
    /// Gives the parameters to `run`.
    ///
    /// # Errors
    ///
    /// A value that cannot be bound is of kind [`ErrorKind::Misuse`]; the error names its index or name.
    fn with_values<R>(&self, run: impl FnOnce(ParamsRef<'_>) -> Result<R>) -> Result<R>;
}

fn at(index: usize) -> impl FnOnce(Error) -> Error {
    move |error| error.context(format_args!("parameter {}", index + 1))
}

impl Params for () {
    fn with_values<R>(&self, run: impl FnOnce(ParamsRef<'_>) -> Result<R>) -> Result<R> {
        run(ParamsRef::Positional(&[]))
    }
}

impl Params for ParamsRef<'_> {
    fn with_values<R>(&self, run: impl FnOnce(ParamsRef<'_>) -> Result<R>) -> Result<R> {
        run(*self)
    }
}

impl<T: ToValue> Params for [T] {
    fn with_values<R>(&self, run: impl FnOnce(ParamsRef<'_>) -> Result<R>) -> Result<R> {
        let mut all = Vec::with_capacity(self.len());
        for (index, value) in self.iter().enumerate() {
            all.push(value.to_value().map_err(at(index))?);
        }
        run(ParamsRef::Positional(&all))
    }
}

impl<T: ToValue> Params for [(&str, T)] {
    fn with_values<R>(&self, run: impl FnOnce(ParamsRef<'_>) -> Result<R>) -> Result<R> {
        let mut all = Vec::with_capacity(self.len());
        for (name, value) in self {
            let value = value
                .to_value()
                .map_err(|error| error.context(format_args!("parameter {name}")))?;
            all.push((*name, value));
        }
        run(ParamsRef::Named(&all))
    }
}

impl<T, const N: usize> Params for [T; N]
where
    [T]: Params,
{
    fn with_values<R>(&self, run: impl FnOnce(ParamsRef<'_>) -> Result<R>) -> Result<R> {
        self.as_slice().with_values(run)
    }
}

impl<T> Params for Vec<T>
where
    [T]: Params,
{
    fn with_values<R>(&self, run: impl FnOnce(ParamsRef<'_>) -> Result<R>) -> Result<R> {
        self.as_slice().with_values(run)
    }
}

impl<P: Params + ?Sized> Params for &P {
    fn with_values<R>(&self, run: impl FnOnce(ParamsRef<'_>) -> Result<R>) -> Result<R> {
        (**self).with_values(run)
    }
}

macro_rules! tuple_params {
    ($($type:ident $index:tt),+) => {
        impl<$($type: ToValue),+> Params for ($($type,)+) {
            fn with_values<R>(&self, run: impl FnOnce(ParamsRef<'_>) -> Result<R>) -> Result<R> {
                run(ParamsRef::Positional(&[
                    $(self.$index.to_value().map_err(at($index))?,)+
                ]))
            }
        }
    };
}

tuple_params!(A 0);
tuple_params!(A 0, B 1);
tuple_params!(A 0, B 1, C 2);
tuple_params!(A 0, B 1, C 2, D 3);
tuple_params!(A 0, B 1, C 2, D 3, E 4);
tuple_params!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple_params!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple_params!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuple_params!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuple_params!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuple_params!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuple_params!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);

/// Checks the number of positional parameters.
///
/// # Errors
///
/// [`ErrorKind::Misuse`] says how many there are and how many were given.
pub(crate) fn check_count(wanted: usize, given: usize) -> Result<()> {
    if wanted == given {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Misuse,
        format!("the statement takes {wanted} parameters, but {given} were given"),
    ))
}

/// Brings named parameters into the order of the statement whose parameters `list` names.
///
/// # Errors
///
/// [`ErrorKind::Misuse`] says which name is unknown, given twice or missing.
pub(crate) fn by_position<'a>(
    named: &[(&str, ValueRef<'a>)],
    list: &ParameterList,
) -> Result<Vec<ValueRef<'a>>> {
    let mut values = vec![None; list.count()];
    for (name, value) in named {
        let number = list.index_of(name)?;
        if let Some(place) = values.get_mut(number - 1)
            && place.replace(*value).is_some()
        {
            return Err(Error::new(
                ErrorKind::Misuse,
                format!("the parameter {name} was given twice"),
            ));
        }
    }
    let given = values.into_iter().enumerate().map(|(index, value)| {
        value.ok_or_else(|| {
            let name = list.name(index + 1).unwrap_or("without a name");
            Error::new(
                ErrorKind::Misuse,
                format!("the parameter {} ({name}) was not given", index + 1),
            )
        })
    });
    given.collect()
}

/// Parameters that own their values, as a queued statement keeps them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum OwnedParams {
    Positional(Vec<Value>),
    Named(Vec<(String, Value)>),
}

impl From<ParamsRef<'_>> for OwnedParams {
    fn from(params: ParamsRef<'_>) -> Self {
        match params {
            ParamsRef::Positional(values) => {
                OwnedParams::Positional(values.iter().map(ValueRef::to_owned).collect())
            }
            ParamsRef::Named(values) => OwnedParams::Named(
                values
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), value.to_owned()))
                    .collect(),
            ),
        }
    }
}

impl OwnedParams {
    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            OwnedParams::Positional(values) => values.len(),
            OwnedParams::Named(values) => values.len(),
        }
    }
}

impl Params for OwnedParams {
    fn with_values<R>(&self, run: impl FnOnce(ParamsRef<'_>) -> Result<R>) -> Result<R> {
        match self {
            OwnedParams::Positional(values) => {
                let all: Vec<_> = values.iter().map(Value::as_ref).collect();
                run(ParamsRef::Positional(&all))
            }
            OwnedParams::Named(values) => {
                let all: Vec<_> = values
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_ref()))
                    .collect();
                run(ParamsRef::Named(&all))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(params: impl Params) -> OwnedParams {
        params.with_values(|values| Ok(values.into())).unwrap()
    }

    #[test]
    fn every_form_of_parameters_gives_its_values() {
        let two = OwnedParams::Positional(vec![Value::Int(1), Value::Text("a".into())]);
        assert_eq!(collect((1, "a")), two);
        let dynamic: [&dyn ToValue; 2] = [&1, &"a"];
        assert_eq!(collect(dynamic), two);
        assert_eq!(collect(dynamic.as_slice()), two);
        assert_eq!(collect(vec![Value::Int(1), Value::Text("a".into())]), two);
        assert_eq!(collect(()), OwnedParams::Positional(vec![]));
        assert_eq!(
            collect([(":id", Some(1)), ("x", None)]),
            OwnedParams::Named(vec![
                (":id".into(), Value::Int(1)),
                ("x".into(), Value::Null)
            ])
        );
    }

    #[test]
    fn a_number_that_fits_no_integer_is_named_by_its_index() {
        let error = (1, u64::MAX).with_values(|_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert!(error.message().starts_with("parameter 2: "), "{error}");
    }
}
