//! One file per instruction set; `generic` is the specification.

/// An instruction set by its features: they are looked for, and [`run`] is compiled for them.
///
/// [`run`]: crate::lanes::InstructionSet::run
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
                // SAFETY: the processor has these very features: `self` exists, and `new`, the only
                // function that makes one, has found them.
                unsafe { compiled(task, out) }
            }
        }
    };
}

/// Methods of an instruction set; their bodies are intrinsics of its features.
#[cfg(target_arch = "x86_64")]
macro_rules! intrinsics {
    ($(fn $name:ident($self:ident $(, $value:ident: $type:ty)*) $(-> $result:ty)? $body:block)*) => {$(
        #[inline(always)]
        fn $name($self $(, $value: $type)*) $(-> $result)? {
            // SAFETY: the processor has the features, as `self` exists (`instructions!`). Loads
            // and stores are of arrays as large as what the intrinsic reads or writes, without
            // alignment: the bodies see to that.
            unsafe { $body }
        }
    )*};
}

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
pub(crate) mod generic;
