//! Memory that has been freed, which the allocator of glibc keeps for later.

/// Gives the memory that is free at present back to the system. For programs that need much for a
/// moment, such as while they read documents, and little from then on.
pub fn release_free() {
    #[cfg(target_env = "gnu")]
    // SAFETY: any thread may call it at any time, with any number of bytes to keep.
    unsafe {
        libc::malloc_trim(0);
    }
}
