//! Which process this is, known without a system call for as long as it is not forked.
#![allow(unsafe_code)]

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// Where the id of this process is kept: memory that the kernel clears in a child, or [`NOWHERE`].
static PLACE: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());

/// Stands for a place where the kernel can give none; always 0.
static NOWHERE: AtomicU32 = AtomicU32::new(0);

/// No advice of madvise(2) has this number.
const NO_ADVICE: libc::c_int = -1;

/// The id of the calling process, also in a child that was made by the bare system call.
///
/// Never blocks, takes no lock, and may be called from any thread. Asks the kernel once in each process, where the
/// kernel can clear memory in a child (madvise(2), `MADV_WIPEONFORK`, Linux 4.14), and each time where it cannot.
#[inline]
pub(crate) fn id() -> u32 {
    // SAFETY: `PLACE` is null or what `place` answers, which is never unmapped.
    let known = unsafe { PLACE.load(Ordering::Acquire).as_ref() };
    match known.map_or(0, |known| known.load(Ordering::Relaxed)) {
        0 => ask(known),
        id => id,
    }
}

#[cold]
fn ask(known: Option<&'static AtomicU32>) -> u32 {
    let id = std::process::id();
    let known = known.unwrap_or_else(place);
    if !ptr::eq(known, &NOWHERE) {
        known.store(id, Ordering::Relaxed);
    }
    id
}

/// The place of the id, made by the first who asks. No lock is held meanwhile: another thread may fork.
fn place() -> &'static AtomicU32 {
    let made = map_cleared_in_child().unwrap_or(&NOWHERE);
    let none = ptr::null_mut();
    let new = ptr::from_ref(made).cast_mut();
    match PLACE.compare_exchange(none, new, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => made,
        // Two asked at once; the page of the second stays unused.
        // SAFETY: what is not null is a place, which is never unmapped.
        Err(first) => unsafe { first.as_ref() }.unwrap_or(&NOWHERE),
    }
}

/// A page of zeros, which is a page of zeros again in a child of this process.
fn map_cleared_in_child() -> Option<&'static AtomicU32> {
    // The kernel makes whole pages of it, in each of the three calls.
    let size = size_of::<AtomicU32>();
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping at an address of the kernel's choice touches no memory that is in use.
    let page = unsafe { libc::mmap(ptr::null_mut(), size, access, flags, -1, 0) };
    if page == libc::MAP_FAILED {
        return None;
    }
    // Emulators have taken any advice and followed none: one who takes this one is not believed.
    // SAFETY: the page was mapped above, and nobody else knows of it.
    let cleared = unsafe {
        libc::madvise(page, size, NO_ADVICE) != 0
            && libc::madvise(page, size, libc::MADV_WIPEONFORK) == 0
    };
    if !cleared {
        // SAFETY: as above; nothing of it was given away.
        unsafe { libc::munmap(page, size) };
        return None;
    }
    // SAFETY: the page is never unmapped, is aligned, and is zero, which is a value of the type; it is changed by
    // atomic stores alone, and by the kernel in a child before the child runs.
    unsafe { page.cast::<AtomicU32>().as_ref() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_the_kernels_and_is_kept() {
        assert_eq!(id(), std::process::id());
        assert_eq!(id(), std::process::id());
        // SAFETY: see `id`.
        let known = unsafe { PLACE.load(Ordering::Acquire).as_ref() }.unwrap();
        assert_eq!(known.load(Ordering::Relaxed), std::process::id());
    }

    #[test]
    fn a_child_has_an_id_of_its_own() {
        let parent = id();
        // SAFETY: the child makes system calls alone and ends without running any destructor.
        match unsafe { libc::fork() } {
            0 => {
                let right = id() != parent && id() == std::process::id() && id() == id();
                // SAFETY: it ends this process.
                unsafe { libc::_exit(if right { 7 } else { 1 }) }
            }
            child => {
                assert!(child > 0);
                let mut status = 0;
                // SAFETY: `status` outlives the call.
                assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
                assert!(libc::WIFEXITED(status));
                assert_eq!(libc::WEXITSTATUS(status), 7);
            }
        }
        assert_eq!(id(), parent);
    }
}
