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

/// A value as the bytes that a device keeps of it, little endian.
pub trait Wire: Sized {
    /// Writes the value; bytes past it are left alone.
    fn write(&self, to: &mut [u8]);

    /// Reads the value; zero where there are too few bytes.
    fn read(from: &[u8]) -> Self;
}

macro_rules! wire_numbers {
    ($($type:ty),+) => {
        $(impl Wire for $type {
            fn write(&self, to: &mut [u8]) {
                if let Some(to) = to.first_chunk_mut() {
                    *to = self.to_le_bytes();
                }
            }

            fn read(from: &[u8]) -> Self {
                from.first_chunk().map_or(0 as $type, |bytes| <$type>::from_le_bytes(*bytes))
            }
        })+
    };
}

wire_numbers!(u32, u64, i64, f32, f64);

impl<T: Wire, const N: usize> Wire for [T; N] {
    fn write(&self, to: &mut [u8]) {
        for (value, to) in self.iter().zip(to.chunks_exact_mut(size_of::<T>())) {
            value.write(to);
        }
    }

    fn read(from: &[u8]) -> Self {
        std::array::from_fn(|i| T::read(from.get(i * size_of::<T>()..).unwrap_or(&[])))
    }
}

/// A struct that crosses the border to the device by value.
///
/// Implemented by [`device_struct`] alone, for `repr(C)` structs whose fields hold any bits.
pub trait DeviceStruct: Wire + Copy + Default + Send + Sync + 'static {
    /// Its name, the same in both languages.
    const NAME: &'static str;
    /// Every field, in order.
    const FIELDS: &'static [Field];

    /// The bytes that a device is given; zero between the fields.
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; size_of::<Self>()];
        self.write(&mut bytes);
        bytes
    }
}

/// Defines a `repr(C)` struct and lists its fields, so that the CUDA sources can be asked whether
/// theirs is the same.
macro_rules! device_struct {
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$field_doc:meta])* pub $field:ident: $type:ty,)+ }) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)+ }

        impl $crate::layout::Wire for $name {
            fn write(&self, to: &mut [u8]) {
                $(if let Some(to) = to.get_mut(std::mem::offset_of!($name, $field)..) {
                    self.$field.write(to);
                })+
            }

            fn read(from: &[u8]) -> Self {
                Self {
                    $($field: $crate::layout::Wire::read(
                        from.get(std::mem::offset_of!($name, $field)..).unwrap_or(&[]),
                    ),)+
                }
            }
        }

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boxes::Rect;
    use crate::points::{Column, PointsChunk, PointsParams, SweepPart};

    #[test]
    fn structs_are_their_bytes_and_back() {
        let params = PointsParams {
            raw: 0x1122_3344_5566_7788,
            max_points: 7,
            min: [1.0, -2.5, 3.0],
            ny: 9,
            ..PointsParams::default()
        };
        let bytes = params.to_bytes();
        assert_eq!(bytes.len(), size_of::<PointsParams>());
        assert_eq!(PointsParams::read(&bytes), params);
        assert_eq!(bytes[8..16], 0x1122_3344_5566_7788_u64.to_le_bytes());
        let offset = std::mem::offset_of!(PointsParams, min) + 4;
        assert_eq!(bytes[offset..offset + 4], (-2.5_f32).to_le_bytes());
        let mut chunk = PointsChunk {
            z: Column { scalar: 1, offset_bytes: 8, stride_bytes: 20 },
            ..PointsChunk::default()
        };
        chunk.parts[31] = SweepPart { first_point: 9, time_lag_s: 0.5, ..SweepPart::default() };
        assert_eq!(PointsChunk::read(&chunk.to_bytes()), chunk);
        let rect = Rect { cos: 0.25, max: [1.0, 2.0], ..Rect::default() };
        assert_eq!(Rect::read(&rect.to_bytes()), rect);
        assert_eq!(PointsParams::read(&[]), PointsParams::default());
    }
}
