//! Rows as bytes, and back: little endian, no padding, every length and every reference checked on reading.

use crate::nuscenes::Token;
use crate::nuscenes::schema::{
    Annotation, Attribute, CalibratedSensor, Category, EgoPose, FileFormat, Instance, Log, Map, Sample,
    SampleData, Scene, Sensor, Visibility,
};
use crate::nuscenes::table::{Id, N_TABLES, Row};

/// What can be written as bytes.
pub(super) trait Stored: Sized {
    fn store(&self, bytes: &mut Vec<u8>);

    /// None where the bytes are not what [`Self::store`] writes.
    fn load(bytes: &mut Bytes<'_>) -> Option<Self>;
}

/// Bytes that are left, and how many rows each table has.
pub(super) struct Bytes<'a> {
    pub(super) rest: &'a [u8],
    pub(super) n_rows: &'a [u32; N_TABLES],
}

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }
}

macro_rules! numbers {
    ($($number:ty),*) => { $(impl Stored for $number {
        fn store(&self, bytes: &mut Vec<u8>) {
            bytes.extend_from_slice(&self.to_le_bytes());
        }

        fn load(bytes: &mut Bytes<'_>) -> Option<Self> {
            bytes.take().map(Self::from_le_bytes)
        }
    })* };
}
numbers!(u8, u32, u64, i64, f64);

impl Stored for bool {
    fn store(&self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(*self));
    }

    fn load(bytes: &mut Bytes<'_>) -> Option<Self> {
        match u8::load(bytes)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl<const N: usize> Stored for [u8; N] {
    fn store(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(self);
    }

    fn load(bytes: &mut Bytes<'_>) -> Option<Self> {
        bytes.take()
    }
}

impl<const N: usize> Stored for [f64; N] {
    fn store(&self, bytes: &mut Vec<u8>) {
        self.iter().for_each(|value| value.store(bytes));
    }

    fn load(bytes: &mut Bytes<'_>) -> Option<Self> {
        let mut values = [0.0; N];
        for value in &mut values {
            *value = f64::load(bytes)?;
        }
        Some(values)
    }
}

impl Stored for [[f64; 3]; 3] {
    fn store(&self, bytes: &mut Vec<u8>) {
        self.iter().for_each(|row| row.store(bytes));
    }

    fn load(bytes: &mut Bytes<'_>) -> Option<Self> {
        Some([Stored::load(bytes)?, Stored::load(bytes)?, Stored::load(bytes)?])
    }
}

fn text<'a>(bytes: &mut Bytes<'a>) -> Option<&'a str> {
    let n_bytes = u32::load(bytes)? as usize;
    let (text, rest) = bytes.rest.split_at_checked(n_bytes)?;
    bytes.rest = rest;
    std::str::from_utf8(text).ok()
}

fn store_text(text: &str, bytes: &mut Vec<u8>) {
    // A record, and so a text, has at most some megabytes.
    (text.len() as u32).store(bytes);
    bytes.extend_from_slice(text.as_bytes());
}

impl Stored for String {
    fn store(&self, bytes: &mut Vec<u8>) {
        store_text(self, bytes);
    }

    fn load(bytes: &mut Bytes<'_>) -> Option<Self> {
        text(bytes).map(str::to_owned)
    }
}

impl Stored for Token {
    fn store(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Bits(bits) => {
                true.store(bytes);
                bits.iter().for_each(|half| half.store(bytes));
            }
            Self::Text(text) => {
                false.store(bytes);
                store_text(text, bytes);
            }
        }
    }

    fn load(bytes: &mut Bytes<'_>) -> Option<Self> {
        if bool::load(bytes)? {
            return Some(Self::Bits([u64::load(bytes)?, u64::load(bytes)?]));
        }
        match Self::from(text(bytes)?) {
            // As text it would be another token than as bits.
            Self::Bits(_) => None,
            token => Some(token),
        }
    }
}

impl<T: Row> Stored for Id<T> {
    fn store(&self, bytes: &mut Vec<u8>) {
        (self.idx() as u32).store(bytes);
    }

    fn load(bytes: &mut Bytes<'_>) -> Option<Self> {
        let idx = u32::load(bytes)?;
        if idx < bytes.n_rows[T::NUMBER] { Self::new(idx as usize) } else { None }
    }
}

impl<T: Stored> Stored for Option<T> {
    fn store(&self, bytes: &mut Vec<u8>) {
        self.is_some().store(bytes);
        self.iter().for_each(|value| value.store(bytes));
    }

    fn load(bytes: &mut Bytes<'_>) -> Option<Self> {
        if bool::load(bytes)? { T::load(bytes).map(Some) } else { Some(None) }
    }
}

impl<T: Stored> Stored for Vec<T> {
    fn store(&self, bytes: &mut Vec<u8>) {
        (self.len() as u32).store(bytes);
        self.iter().for_each(|value| value.store(bytes));
    }

    fn load(bytes: &mut Bytes<'_>) -> Option<Self> {
        let n_values = u32::load(bytes)? as usize;
        // Each has a byte at least: nothing is allocated for values that cannot be there.
        if n_values > bytes.rest.len() {
            return None;
        }
        (0..n_values).map(|_| T::load(bytes)).collect()
    }
}

impl Stored for FileFormat {
    fn store(&self, bytes: &mut Vec<u8>) {
        bytes.push(match self {
            Self::Pcd => 0,
            Self::Jpg => 1,
            Self::Other => 2,
        });
    }

    fn load(bytes: &mut Bytes<'_>) -> Option<Self> {
        [Self::Pcd, Self::Jpg, Self::Other].get(usize::from(u8::load(bytes)?)).copied()
    }
}

macro_rules! records {
    ($($record:ident { $($field:ident),* })*) => { $(impl Stored for $record {
        fn store(&self, bytes: &mut Vec<u8>) {
            $(self.$field.store(bytes);)*
        }

        fn load(bytes: &mut Bytes<'_>) -> Option<Self> {
            // Fields are evaluated in the order in which they stand here.
            Some(Self { $($field: Stored::load(bytes)?),* })
        }
    })* };
}
pub(super) use records;

records! {
    Category { token, name, description, label }
    Attribute { token, name, description }
    Visibility { token, level, description }
    Sensor { token, channel, modality }
    CalibratedSensor { token, sensor, translation, rotation, camera_intrinsic }
    EgoPose { token, timestamp_us, translation, rotation }
    Log { token, logfile, vehicle, date_captured, location }
    Scene { token, name, description, log, n_samples, first_sample, last_sample }
    Sample { token, timestamp_us, scene, prev, next }
    SampleData {
        token, sample, ego_pose, calibrated_sensor, timestamp_us, file_format, is_key_frame, height, width,
        filename, prev, next
    }
    Instance { token, category, n_annotations, first_annotation, last_annotation }
    Annotation {
        token, sample, instance, visibility, translation, size_wlh, rotation, prev, next, n_lidar_points,
        n_radar_points
    }
    Map { token, category, filename, logs }
}
