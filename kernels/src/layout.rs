//! Structs that cross the border to the device: one definition in Rust, one in CUDA C++, and
//! what makes sure that they are the same.

/// An address in device memory.
pub type DevicePtr = u64;

/// A field of a struct that crosses the border.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, the same in both languages.
    pub name: &'static str,
    /// Bytes from the start of the struct.
    pub offset_bytes: usize,
    /// Its size in bytes.
    pub size_bytes: usize,
}

/// A struct that crosses the border to the device by value.
///
/// Implemented by [`device_struct`] alone, for `repr(C)` structs whose fields hold any bits.
pub trait DeviceStruct: Copy + Default + Send + Sync + 'static {
    /// Its name, the same in both languages.
    const NAME: &'static str;
    /// Every field, in order.
    const FIELDS: &'static [Field];
}

/// Defines a `repr(C)` struct and lists its fields, so that the CUDA sources can be asked whether
/// theirs is the same.
macro_rules! device_struct {
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$field_doc:meta])* pub $field:ident: $type:ty,)+ }) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)+ }

        impl $crate::layout::DeviceStruct for $name {
            const NAME: &'static str = stringify!($name);
            const FIELDS: &'static [$crate::layout::Field] = &[$($crate::layout::Field {
                name: stringify!($field),
                offset_bytes: std::mem::offset_of!($name, $field),
                size_bytes: size_of::<$type>(),
            },)+];
        }
    };
}
pub(crate) use device_struct;

/// CUDA C++ that compiles only where the struct of this name has the size and the fields of `T`.
///
/// Every compiler of the sources appends it: the one that makes the PTX, and the one that makes
/// them run on a CPU.
pub fn layout_asserts<T: DeviceStruct>() -> String {
    let name = T::NAME;
    let mut text = format!("static_assert(sizeof({name}) == {}, \"{name}\");\n", size_of::<T>());
    for Field { name: field, offset_bytes, size_bytes } in T::FIELDS {
        text += &format!(
            "static_assert(OFFSET_OF({name}, {field}) == {offset_bytes}, \"{name}::{field}\");\n\
             static_assert(sizeof({name}::{field}) == {size_bytes}, \"{name}::{field}\");\n"
        );
    }
    text
}
