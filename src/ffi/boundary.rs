//! The one way out of Rust: every exported function is one call of [`boundary`], [`answer`] or [`free`].

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::error::quorate_error;
use super::status::{Answer, Failure, quorate_status};
use crate::error::{Error, ErrorKind};

/// An output that the caller has to give a place for.
pub(super) struct Out<T>(pub(super) *mut T, pub(super) &'static str);

/// An output that the caller may do without.
pub(super) struct Maybe<T>(pub(super) *mut T);

/// The outputs of a function: cleared before anything else happens, and set to what the body answers.
pub(super) trait Outputs {
    type Values;

    /// # Safety
    ///
    /// The pointers are NULL or may be written.
    unsafe fn clear(&self);

    /// The name of an output that is NULL and must not be.
    fn missing(&self) -> Option<&'static str>;

    /// # Safety
    ///
    /// As for [`clear`](Outputs::clear), and none is [`missing`](Outputs::missing).
    unsafe fn set(self, values: Self::Values);
}

impl Outputs for () {
    type Values = ();

    unsafe fn clear(&self) {}

    fn missing(&self) -> Option<&'static str> {
        None
    }

    unsafe fn set(self, (): ()) {}
}

impl<T: Default> Outputs for Out<T> {
    type Values = T;

    unsafe fn clear(&self) {
        if !self.0.is_null() {
            // SAFETY: not NULL, so it may be written.
            unsafe { self.0.write(T::default()) };
        }
    }

    fn missing(&self) -> Option<&'static str> {
        self.0.is_null().then_some(self.1)
    }

    unsafe fn set(self, value: T) {
        // SAFETY: not missing, so it may be written.
        unsafe { self.0.write(value) };
    }
}

impl<T: Default> Outputs for Maybe<T> {
    type Values = T;

    unsafe fn clear(&self) {
        if !self.0.is_null() {
            // SAFETY: not NULL, so it may be written.
            unsafe { self.0.write(T::default()) };
        }
    }

    fn missing(&self) -> Option<&'static str> {
        None
    }

    unsafe fn set(self, value: T) {
        if !self.0.is_null() {
            // SAFETY: not NULL, so it may be written.
            unsafe { self.0.write(value) };
        }
    }
}

macro_rules! tuple_outputs {
    ($($type:ident $index:tt),+) => {
        impl<$($type: Outputs),+> Outputs for ($($type,)+) {
            type Values = ($($type::Values,)+);

            unsafe fn clear(&self) {
                // SAFETY: the caller's.
                unsafe { $(self.$index.clear();)+ }
            }

            fn missing(&self) -> Option<&'static str> {
                None$(.or_else(|| self.$index.missing()))+
            }

            unsafe fn set(self, values: Self::Values) {
                // SAFETY: the caller's.
                unsafe { $(self.$index.set(values.$index);)+ }
            }
        }
    };
}

tuple_outputs!(A 0, B 1);
tuple_outputs!(A 0, B 1, C 2);
tuple_outputs!(A 0, B 1, C 2, D 3);

/// The body of a function that can fail.
///
/// Clears the outputs, runs `body`, and sets the outputs to what it answers, or `out_error` to why it failed.
/// A panic is caught and becomes `QUORATE_STATUS_INTERNAL`.
///
/// # Safety
///
/// `out_error` and the pointers of `outputs` are NULL or may be written.
#[inline]
pub(super) unsafe fn boundary<O: Outputs>(
    out_error: *mut *mut quorate_error,
    outputs: O,
    body: impl FnOnce() -> Answer<O::Values>,
) -> quorate_status {
    // SAFETY: the caller's.
    unsafe {
        if !out_error.is_null() {
            out_error.write(std::ptr::null_mut());
        }
        outputs.clear();
    }
    let failure = match outputs.missing() {
        Some(name) => Failure::null(name),
        None => match catch_unwind(AssertUnwindSafe(body)) {
            Ok(Ok(values)) => {
                // SAFETY: the caller's, and none is missing.
                unsafe { outputs.set(values) };
                return quorate_status::Ok;
            }
            Ok(Err(failure)) => failure,
            Err(panic) => panicked(panic),
        },
    };
    // SAFETY: the caller's.
    unsafe { fail(out_error, failure) }
}

/// The body of a function that cannot fail: answers `default` where a handle is NULL or on a panic.
#[inline]
pub(super) fn answer<T>(default: T, body: impl FnOnce() -> Option<T>) -> T {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Some(value)) => value,
        Ok(None) => default,
        Err(panic) => {
            forget(panic);
            default
        }
    }
}

/// The body of a function that frees a handle made by [`handle::give`](super::handle::give).
///
/// # Safety
///
/// `handle` is NULL or came from `give` and is not used again.
pub(super) unsafe fn free<T>(handle: *mut T) {
    if handle.is_null() {
        return;
    }
    // SAFETY: the caller's.
    let handle = unsafe { Box::from_raw(handle) };
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(handle))) {
        forget(panic);
    }
}

/// # Safety
///
/// `out_error` is NULL or may be written.
#[cold]
unsafe fn fail(out_error: *mut *mut quorate_error, failure: Failure) -> quorate_status {
    let status = failure.status();
    if !out_error.is_null() {
        let error = Box::into_raw(Box::new(quorate_error::new(&failure)));
        // SAFETY: the caller's.
        unsafe { out_error.write(error) };
    }
    status
}

#[cold]
fn panicked(panic: Box<dyn Any + Send>) -> Failure {
    let text = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned());
    forget(panic);
    let text = text.as_deref().unwrap_or("no message");
    Error::new(
        ErrorKind::Internal,
        format!("the library panicked, which is a defect of it: {text}"),
    )
    .into()
}

/// Drops what was thrown, which may throw again.
fn forget(panic: Box<dyn Any + Send>) {
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(another);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr::null_mut;

    #[test]
    fn a_panic_becomes_a_status_and_outputs_are_set_on_every_path() {
        let (mut error, mut number, mut other) = (null_mut(), 7, 7);
        // SAFETY: all point to variables.
        let status = unsafe {
            boundary(
                &raw mut error,
                (Out(&raw mut number, "a"), Maybe(&raw mut other)),
                || panic!("thrown on purpose"),
            )
        };
        assert_eq!(status, quorate_status::Internal);
        assert_eq!((number, other), (0, 0));
        // SAFETY: the boundary made it.
        let made = unsafe { Box::from_raw(error) };
        assert!(made.text().contains("thrown on purpose"), "{}", made.text());

        number = 7;
        // SAFETY: NULL, or a variable.
        let status = unsafe {
            boundary(
                null_mut(),
                (Out(null_mut::<i32>(), "gone"), Out(&raw mut number, "b")),
                || Ok((1, 2)),
            )
        };
        assert_eq!((status, number), (quorate_status::NullPointer, 0));
        assert_eq!(answer(3, || panic!("on purpose")), 3);
    }
}
