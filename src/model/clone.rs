//! Copies that reuse the memory of what they overwrite: an explorer of interleavings copies machines
//! millions of times, always into an old one.

/// `Clone`, field by field. What a derived one lacks is `clone_from`: by default that makes a fresh copy,
/// with all its allocations, and drops the old value.
macro_rules! clone_by_field {
    ($type:ident { $($field:ident),+ $(,)? }) => {
        impl Clone for $type {
            fn clone(&self) -> $type {
                $type { $($field: self.$field.clone(),)+ }
            }

            fn clone_from(&mut self, source: &$type) {
                $(self.$field.clone_from(&source.$field);)+
            }
        }
    };
}
pub(crate) use clone_by_field;
