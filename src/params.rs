//! Parameters: what a caller binds to a statement.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::sql::ParameterList;
use crate::value::{Value, ValueRef};

/// A type that can be bound to a parameter.
///
/// ```
/// use quorate::{BoundValue, Result, ToValue, Value, ValueRef};
///
/// enum State {
///     Open,
///     Closed,
/// }
///
/// impl ToValue for State {
///     fn to_value(&self) -> Result<BoundValue<'_>> {
///         let name = match self {
///             State::Open => "open",
///             State::Closed => "closed",
///         };
///         Ok(ValueRef::Text(name).into())
///     }
/// }
///
/// struct Cents(i64);
///
/// impl ToValue for Cents {
///     fn to_value(&self) -> Result<BoundValue<'_>> {
///         let euros = format!("{}.{:02}", self.0 / 100, self.0 % 100);
///         Ok(Value::Decimal(euros).into())
///     }
/// }
/// ```
pub trait ToValue {
    /// The value to be sent: borrowed, or made for the call.
    ///
    /// # Errors
    ///
    /// A number that no SQL integer can hold is of kind [`ErrorKind::Misuse`].
    fn to_value(&self) -> Result<BoundValue<'_>>;
}

/// What [`ToValue::to_value`] answers: a [`ValueRef`] or a [`Value`], each of which converts into it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum BoundValue<'a> {
    /// A value that lies in what is bound.
    Borrowed(ValueRef<'a>),
    /// A value that was made for the call, such as a text that had to be formatted.
    Owned(Value),
}

impl BoundValue<'_> {
    /// The value.
    #[inline]
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            BoundValue::Borrowed(value) => *value,
            BoundValue::Owned(value) => value.as_ref(),
        }
    }
}

impl<'a> From<ValueRef<'a>> for BoundValue<'a> {
    #[inline]
    fn from(value: ValueRef<'a>) -> Self {
        BoundValue::Borrowed(value)
    }
}

impl From<Value> for BoundValue<'_> {
    fn from(value: Value) -> Self {
        BoundValue::Owned(value)
    }
}

macro_rules! to_value {
    ($($type:ty => |$value:ident| $result:expr),* $(,)?) => {
        $(impl ToValue for $type {
            #[inline]
            fn to_value(&self) -> Result<BoundValue<'_>> {
                let $value = self;
                Ok(BoundValue::Borrowed($result))
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

macro_rules! to_int {
    ($($type:ident),*) => {
        $(impl ToValue for $type {
            #[inline]
            fn to_value(&self) -> Result<BoundValue<'_>> {
                match i64::try_from(*self) {
                    Ok(value) => Ok(BoundValue::Borrowed(ValueRef::Int(value))),
                    Err(_) => Err(Error::new(
                        ErrorKind::Misuse,
                        format!("{self} does not fit a 64-bit signed integer; bind it as text"),
                    )),
                }
            }
        })*
    };
}

to_int!(u64, usize, isize);

impl<const N: usize> ToValue for [u8; N] {
    #[inline]
    fn to_value(&self) -> Result<BoundValue<'_>> {
        Ok(BoundValue::Borrowed(ValueRef::Blob(self)))
    }
}

/// As a text such as `12:34:56.5`.
impl ToValue for NaiveTime {
    fn to_value(&self) -> Result<BoundValue<'_>> {
        Ok(BoundValue::Owned(Value::Text(self.to_string())))
    }
}

/// As a JSON document.
impl ToValue for serde_json::Value {
    fn to_value(&self) -> Result<BoundValue<'_>> {
        Ok(BoundValue::Owned(Value::Json(self.to_string())))
    }
}

impl<T: ToValue> ToValue for Option<T> {
    #[inline]
    fn to_value(&self) -> Result<BoundValue<'_>> {
        match self {
            Some(value) => value.to_value(),
            None => Ok(BoundValue::Borrowed(ValueRef::Null)),
        }
    }
}

impl<T: ToValue + ?Sized> ToValue for &T {
    #[inline]
    fn to_value(&self) -> Result<BoundValue<'_>> {
        (**self).to_value()
    }
}

impl<T: ToValue + ToOwned + ?Sized> ToValue for Cow<'_, T> {
    #[inline]
    fn to_value(&self) -> Result<BoundValue<'_>> {
        (**self).to_value()
    }
}

macro_rules! to_value_through {
    ($($pointer:ident),*) => {
        $(impl<T: ToValue + ?Sized> ToValue for $pointer<T> {
            #[inline]
            fn to_value(&self) -> Result<BoundValue<'_>> {
                (**self).to_value()
            }
        })*
    };
}

to_value_through!(Box, Rc, Arc);

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

/// The parameters of one call: `()` for none, a tuple of up to sixteen values, an array or slice of values of one type
/// or of `&dyn ToValue`, or an array or slice of `(name, value)`. The macros [`params!`](crate::params!) and
/// [`named_params!`](crate::named_params!) take any number of values of any types.
///
/// ```no_run
/// # use quorate::{named_params, params};
/// # fn main() -> quorate::Result<()> {
/// # let pool = quorate::Pool::open("dqlite://127.0.0.1:9001/app")?;
/// pool.exec("INSERT INTO item VALUES (?, ?)", (1, "brick"))?;
/// pool.exec("INSERT INTO item VALUES (?, ?)", params![2, "panel"])?;
/// pool.exec("DELETE FROM item WHERE id IN (?, ?)", [1, 2])?;
/// pool.exec("DELETE FROM item WHERE id = :id", [(":id", 1)])?;
/// pool.exec("INSERT INTO item VALUES (:id, :name)", named_params! {"id": 1, "name": "brick"})?;
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

/// Parameters by position, any number of them and of any types that are [`ToValue`]: `params![1, "brick", name]`. An
/// array of references that borrows them.
#[macro_export]
macro_rules! params {
    () => {
        ()
    };
    ($($value:expr),+ $(,)?) => {
        [$(&$value as &dyn $crate::ToValue),+]
    };
}

/// Parameters by name, of any types that are [`ToValue`]: `named_params! {"id": 1, "name": name}`. An array of names and
/// references that borrows the values.
#[macro_export]
macro_rules! named_params {
    ($($name:literal: $value:expr),+ $(,)?) => {
        [$(($name, &$value as &dyn $crate::ToValue)),+]
    };
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
        let mut made = Vec::new();
        let mut all = Vec::with_capacity(self.len());
        for (index, value) in self.iter().enumerate() {
            all.push(match value.to_value().map_err(at(index))? {
                BoundValue::Borrowed(value) => value,
                BoundValue::Owned(value) => {
                    made.push((index, value));
                    ValueRef::Null
                }
            });
        }
        for (index, value) in &made {
            if let Some(place) = all.get_mut(*index) {
                *place = value.as_ref();
            }
        }
        run(ParamsRef::Positional(&all))
    }
}

impl<T: ToValue> Params for [(&str, T)] {
    fn with_values<R>(&self, run: impl FnOnce(ParamsRef<'_>) -> Result<R>) -> Result<R> {
        let mut made = Vec::new();
        let mut all = Vec::with_capacity(self.len());
        for (name, value) in self {
            let value = value
                .to_value()
                .map_err(|error| error.context(format_args!("parameter {name}")))?;
            let value = match value {
                BoundValue::Borrowed(value) => value,
                BoundValue::Owned(value) => {
                    made.push((all.len(), value));
                    ValueRef::Null
                }
            };
            all.push((*name, value));
        }
        for (index, value) in &made {
            if let Some((_, place)) = all.get_mut(*index) {
                *place = value.as_ref();
            }
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
                let bound = ($(self.$index.to_value().map_err(at($index))?,)+);
                run(ParamsRef::Positional(&[$(bound.$index.as_ref()),+]))
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
tuple_params!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12);
tuple_params!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13);
tuple_params!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14);
tuple_params!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14, P 15);

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

    /// A type of a program, which has no text lying about that it could lend.
    struct Cents(i64);

    impl ToValue for Cents {
        fn to_value(&self) -> Result<BoundValue<'_>> {
            let euros = format!("{}.{:02}", self.0 / 100, self.0 % 100);
            Ok(Value::Decimal(euros).into())
        }
    }

    #[test]
    fn a_value_may_be_made_for_the_call() {
        let decimal = || Value::Decimal("1.05".into());
        let once = OwnedParams::Positional(vec![decimal()]);
        assert_eq!(collect((Cents(105),)), once);
        assert_eq!(collect([Some(Cents(105))]), once);
        let among = OwnedParams::Positional(vec![1.into(), decimal(), 2.into(), decimal()]);
        assert_eq!(collect(params![1, Cents(105), 2, Cents(105)]), among);
        let named = vec![("id".into(), 1.into()), ("price".into(), decimal())];
        let given = named_params! {"id": 1, "price": Cents(105)};
        assert_eq!(collect(given), OwnedParams::Named(named));
        let json = serde_json::json!({"a": [1, null]});
        let json = collect((json,));
        let expected = Value::Json(r#"{"a":[1,null]}"#.into());
        assert_eq!(json, OwnedParams::Positional(vec![expected]));
    }

    #[test]
    fn what_a_pointer_points_to_is_bound() {
        let text: Box<str> = "a".into();
        let bytes: Arc<[u8]> = Arc::from([1, 2]);
        let boxed: Box<dyn ToValue> = Box::new(1);
        let given = (text, Cow::Borrowed("b"), Rc::new(1), bytes, boxed);
        let expected = vec![
            "a".into(),
            "b".into(),
            1.into(),
            vec![1, 2].into(),
            1.into(),
        ];
        assert_eq!(collect(given), OwnedParams::Positional(expected));
    }

    #[test]
    fn the_macros_take_values_of_any_types() {
        assert_eq!(collect(params![]), OwnedParams::Positional(vec![]));
        let name = String::from("brick");
        let expected = vec![Value::Int(1), "brick".into(), Value::Null];
        let given = params![1, name, None::<i64>,];
        assert_eq!(collect(given), OwnedParams::Positional(expected));
        let expected = vec![("id".into(), Value::Int(1)), ("name".into(), name.into())];
        let given = named_params! {"id": 1, "name": "brick"};
        assert_eq!(collect(given), OwnedParams::Named(expected));
    }

    #[test]
    fn a_number_that_fits_no_integer_is_named_by_its_index() {
        let error = (1, u64::MAX).with_values(|_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misuse);
        assert!(error.message().starts_with("parameter 2: "), "{error}");
    }
}
