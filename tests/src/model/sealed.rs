//! A part of a state that many states share, with its hash beside it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// A value that is hashed once, and copied only when it is changed. A step changes one node; the others are the same memory in both states.
#[derive(Debug)]
pub(super) struct Sealed<T> {
    hash: u64,
    value: Arc<T>,
}

impl<T> Clone for Sealed<T> {
    fn clone(&self) -> Self {
        Self { hash: self.hash, value: Arc::clone(&self.value) }
    }
}

impl<T: Hash + Clone> Sealed<T> {
    pub(super) fn new(value: T) -> Self {
        let mut sealed = Self { hash: 0, value: Arc::new(value) };
        sealed.seal();
        sealed
    }

    pub(super) fn get(&self) -> &T {
        &self.value
    }

    /// To change it; [`Sealed::seal`] follows before it is hashed or compared.
    pub(super) fn open(&mut self) -> &mut T {
        self.hash = 0;
        Arc::make_mut(&mut self.value)
    }

    /// Hashes what was changed.
    pub(super) fn seal(&mut self) {
        if self.hash == 0 {
            let mut hasher = DefaultHasher::new();
            self.value.hash(&mut hasher);
            self.hash = hasher.finish().max(1);
        }
    }
}

impl<T> Hash for Sealed<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl<T: PartialEq> PartialEq for Sealed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && (Arc::ptr_eq(&self.value, &other.value) || self.value == other.value)
    }
}
