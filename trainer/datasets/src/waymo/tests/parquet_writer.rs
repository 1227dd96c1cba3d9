//! Parquet files with columns as pyarrow writes them: optional numbers, and lists of optional ones.

use parquet::basic::{Compression, ConvertedType, Repetition, Type as Physical};
use parquet::data_type::{DataType, DoubleType, FloatType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};
use std::path::Path;
use std::sync::Arc;

/// A column by name, a value a row.
pub(super) enum Column {
    Int64(String, Vec<Option<i64>>),
    Int32(String, Vec<Option<i32>>),
    Double(String, Vec<Option<f64>>),
    Doubles(String, Vec<Option<Vec<f64>>>),
    Floats(String, Vec<Option<Vec<f32>>>),
    Ints(String, Vec<Option<Vec<i32>>>),
    /// Lists in which there may be nulls.
    FloatsOrNulls(String, Vec<Vec<Option<f32>>>),
    /// So many lists of one list of one number.
    Nested(String, usize),
}

impl Column {
    fn schema(&self) -> TypePtr {
        let leaf = |name: &str, physical| {
            let builder = Type::primitive_type_builder(name, physical);
            Arc::new(builder.with_repetition(Repetition::OPTIONAL).build().unwrap())
        };
        let list_of = |name: &str, element: TypePtr| {
            let repeated = Type::group_type_builder("list")
                .with_repetition(Repetition::REPEATED)
                .with_fields(vec![element])
                .build()
                .unwrap();
            let builder = Type::group_type_builder(name)
                .with_repetition(Repetition::OPTIONAL)
                .with_converted_type(ConvertedType::LIST)
                .with_fields(vec![Arc::new(repeated)]);
            Arc::new(builder.build().unwrap())
        };
        let list = |name: &str, physical| list_of(name, leaf("element", physical));
        match self {
            Self::Int64(name, _) => leaf(name, Physical::INT64),
            Self::Int32(name, _) => leaf(name, Physical::INT32),
            Self::Double(name, _) => leaf(name, Physical::DOUBLE),
            Self::Doubles(name, _) => list(name, Physical::DOUBLE),
            Self::Floats(name, _) => list(name, Physical::FLOAT),
            Self::Ints(name, _) => list(name, Physical::INT32),
            Self::FloatsOrNulls(name, _) => list(name, Physical::FLOAT),
            Self::Nested(name, _) => list_of(name, list("element", Physical::FLOAT)),
        }
    }

    fn n_rows(&self) -> usize {
        match self {
            Self::Int64(_, v) => v.len(),
            Self::Int32(_, v) => v.len(),
            Self::Double(_, v) => v.len(),
            Self::Doubles(_, v) => v.len(),
            Self::Floats(_, v) => v.len(),
            Self::Ints(_, v) => v.len(),
            Self::FloatsOrNulls(_, v) => v.len(),
            Self::Nested(_, n) => *n,
        }
    }

    fn write(&self, rows: std::ops::Range<usize>, group: &mut SerializedRowGroupWriter<'_, std::fs::File>) {
        match self {
            Self::Int64(_, v) => numbers::<Int64Type>(&v[rows], group),
            Self::Int32(_, v) => numbers::<Int32Type>(&v[rows], group),
            Self::Double(_, v) => numbers::<DoubleType>(&v[rows], group),
            Self::Doubles(_, v) => lists::<DoubleType>(&v[rows], group),
            Self::Floats(_, v) => lists::<FloatType>(&v[rows], group),
            Self::Ints(_, v) => lists::<Int32Type>(&v[rows], group),
            Self::FloatsOrNulls(_, v) => {
                let elements = || v[rows.clone()].iter().flat_map(|row| row.iter().enumerate());
                let values: Vec<f32> = elements().filter_map(|(_, value)| *value).collect();
                let def: Vec<i16> = elements().map(|(_, value)| 2 + i16::from(value.is_some())).collect();
                let rep: Vec<i16> = elements().map(|(idx, _)| i16::from(idx > 0)).collect();
                put::<FloatType>(&values, &def, Some(&rep), group);
            }
            Self::Nested(..) => {
                let n = rows.len();
                put::<FloatType>(&vec![1.0; n], &vec![5; n], Some(&vec![0; n]), group);
            }
        }
    }
}

fn numbers<T: DataType>(rows: &[Option<T::T>], group: &mut SerializedRowGroupWriter<'_, std::fs::File>) {
    let values: Vec<T::T> = rows.iter().flatten().cloned().collect();
    let def: Vec<i16> = rows.iter().map(|v| i16::from(v.is_some())).collect();
    put::<T>(&values, &def, None, group);
}

fn lists<T: DataType>(rows: &[Option<Vec<T::T>>], group: &mut SerializedRowGroupWriter<'_, std::fs::File>) {
    let (mut values, mut def, mut rep) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let list = row.as_deref().unwrap_or_default();
        if list.is_empty() {
            def.push(i16::from(row.is_some()));
            rep.push(0);
        }
        for (idx, value) in list.iter().enumerate() {
            values.push(value.clone());
            def.push(3);
            rep.push(i16::from(idx > 0));
        }
    }
    put::<T>(&values, &def, Some(&rep), group);
}

fn put<T: DataType>(
    values: &[T::T],
    def: &[i16],
    rep: Option<&[i16]>,
    group: &mut SerializedRowGroupWriter<'_, std::fs::File>,
) {
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<T>().write_batch(values, Some(def), rep).unwrap();
    column.close().unwrap();
}

pub(super) fn write_parquet(path: &Path, columns: &[Column], rows_per_group: usize) {
    let schema = Type::group_type_builder("schema")
        .with_fields(columns.iter().map(Column::schema).collect())
        .build()
        .unwrap();
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties)).unwrap();
    let n_rows = columns[0].n_rows();
    let mut from = 0;
    while from < n_rows {
        let to = (from + rows_per_group).min(n_rows);
        let mut group = writer.next_row_group().unwrap();
        for column in columns {
            column.write(from..to, &mut group);
        }
        group.close().unwrap();
        from = to;
    }
    writer.close().unwrap();
}
