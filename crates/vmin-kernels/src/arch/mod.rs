//! One file per instruction set; `generic` is the specification.

/// Defines an instruction set by its features: `new` detects them, and `run` is compiled for them.
#[cfg(target_arch = "x86_64")]
macro_rules! instructions {
    ($(#[$doc:meta])* $name:ident, $($feature:tt),+) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(crate) struct $name(());

        impl $name {
            pub(crate) fn new() -> Option<Self> {
                ($(is_x86_feature_detected!($feature))&&+).then_some(Self(()))
            }
        }

        impl $crate::lanes::InstructionSet for $name {
            fn run<T: $crate::lanes::Task>(self, task: &T, out: &mut [T::Out]) {
                #[target_feature($(enable = $feature),+)]
                fn compiled<T: $crate::lanes::Task>(task: &T, out: &mut [T::Out]) {
                    task.run(out);
                }
                // SAFETY: the processor has these features, because `self` exists: only `new` makes
                // such a value, after it has detected them.
                unsafe { compiled(task, out) }
            }
        }
    };
}

/// Defines methods of an instruction set whose bodies call its intrinsics.
#[cfg(target_arch = "x86_64")]
macro_rules! intrinsics {
    ($(fn $name:ident($self:ident $(, $value:ident: $type:ty)*) $(-> $result:ty)? $body:block)*) => {$(
        #[inline(always)]
        fn $name($self $(, $value: $type)*) $(-> $result)? {
            // SAFETY: the processor has the features, because `self` exists (see `instructions!`).
            // Each body loads and stores whole arrays of the size of its intrinsic, or masks the lanes
            // beyond a slice; no intrinsic here needs alignment.
            unsafe { $body }
        }
    )*};
}

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
pub(crate) mod generic;
