//! Parses the boxes of one sample.

use super::super::names::{Attribute, DetectionClass};
use super::cut::{Batch, Member};
use super::problem::{BoxField, BoxProblem, ResultsError};
use super::{PredictedBox, SampleResults};
use jiter::{Jiter, JiterError, JiterErrorType, Peek};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// About the length of a box in the file, to reserve space by.
const BOX_BYTES: usize = 350;
/// Characters of an unknown name that an error shows.
const MAX_SHOWN: usize = 60;

/// What is wrong, before it is known where.
enum Wrong {
    /// With the field of the box that is being parsed.
    Field(BoxField, BoxProblem),
    /// With the JSON, or something is not what it should be.
    Json(JiterError),
}

impl From<JiterError> for Wrong {
    fn from(error: JiterError) -> Self {
        Self::Json(error)
    }
}

/// The boxes of a sample.
pub(super) fn sample(batch: &Batch, member: &Member) -> Result<SampleResults, ResultsError> {
    let token = key(batch, member)?;
    let text = &batch.bytes[member.value.clone()];
    let mut json = Jiter::new(text).with_allow_inf_nan();
    let mut boxes = Vec::with_capacity(text.len() / BOX_BYTES);
    if let Err(wrong) = list_of_boxes(&mut json, &token, &mut boxes) {
        return Err(placed(wrong, batch, member, token, boxes.len()));
    }
    boxes.shrink_to_fit();
    Ok(SampleResults { token, boxes })
}

/// A section of the file: what `meta` holds, and nothing for any other.
pub(super) fn section(batch: &Batch, member: &Member) -> Result<Option<Vec<(String, Value)>>, ResultsError> {
    let name = key(batch, member)?;
    let text = &batch.bytes[member.value.clone()];
    if name == "meta" {
        let mut json = serde_json::Deserializer::from_slice(text);
        let meta = json.deserialize_map(Members).and_then(|meta| json.end().map(|()| meta));
        return meta.map(Some).map_err(|e| ResultsError::Section { section: "meta", reason: e.to_string() });
    }
    let mut json = Jiter::new(text).with_allow_inf_nan();
    let skipped = json.next_skip().and_then(|()| json.finish());
    skipped.map_err(|error| syntax(&error, batch.offset, member.value.start, None))?;
    Ok(None)
}

/// Members of an object in their order, which a map would not keep.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}

fn key(batch: &Batch, member: &Member) -> Result<String, ResultsError> {
    let mut json = Jiter::new(&batch.bytes[member.key.clone()]);
    let text = json.next_str().map(str::to_owned);
    text.map_err(|error| syntax(&error, batch.offset, member.key.start, None))
}

fn syntax(error: &JiterError, offset: u64, start: usize, sample: Option<String>) -> ResultsError {
    let offset = offset + (start + error.index) as u64;
    ResultsError::Syntax { offset, sample, reason: error.error_type.to_string() }
}

/// The error with the place in the file; `n_parsed` boxes came before.
fn placed(wrong: Wrong, batch: &Batch, member: &Member, sample: String, n_parsed: usize) -> ResultsError {
    match wrong {
        Wrong::Field(field, problem) => ResultsError::Box { sample, box_idx: n_parsed, field, problem },
        Wrong::Json(error) => match &error.error_type {
            JiterErrorType::WrongType { .. } => {
                let reason = error.error_type.to_string();
                // An error at the very beginning is one of the list.
                let box_idx = (error.index > 0).then_some(n_parsed);
                ResultsError::NotBoxes { sample, box_idx, reason }
            }
            JiterErrorType::JsonError(_) => syntax(&error, batch.offset, member.value.start, Some(sample)),
        },
    }
}

fn list_of_boxes(json: &mut Jiter<'_>, token: &str, boxes: &mut Vec<PredictedBox>) -> Result<(), Wrong> {
    let mut more = json.next_array()?.is_some();
    while more {
        boxes.push(one_box(json, token)?);
        more = json.array_step()?.is_some();
    }
    json.finish()?;
    Ok(())
}

fn field_of(key: &str) -> Option<BoxField> {
    BoxField::ALL.into_iter().find(|field| field.name() == key)
}

/// Fields of a box as far as they have been seen.
#[derive(Default)]
struct Seen {
    /// A bit a field.
    fields: u16,
    translation: [f64; 3],
    size: [f64; 3],
    rotation: [f64; 4],
    velocity: [f64; 2],
    score: Option<f64>,
    class: Option<DetectionClass>,
    attribute: Option<Attribute>,
    is_empty: bool,
    other_sample: Option<Box<str>>,
}

fn one_box(json: &mut Jiter<'_>, token: &str) -> Result<PredictedBox, Wrong> {
    let mut seen = Seen::default();
    // Whether there is a key, and which field it is.
    let mut key = json.next_object()?.map(field_of);
    while let Some(field) = key {
        match field {
            Some(field) => seen.field(json, field, token)?,
            None => json.next_skip()?,
        }
        key = json.next_key()?.map(field_of);
    }
    seen.finish()
}

impl Seen {
    fn field(&mut self, json: &mut Jiter<'_>, field: BoxField, token: &str) -> Result<(), Wrong> {
        let bit = 1 << field as u16;
        if self.fields & bit != 0 {
            return Err(Wrong::Field(field, BoxProblem::Duplicate));
        }
        self.fields |= bit;
        let value = match field {
            BoxField::SampleToken => json.next_str().map(|text| {
                self.other_sample = (text != token).then(|| text.into());
                Ok(())
            }),
            BoxField::Translation => numbers(json).map(|v| not_nan(v, &mut self.translation)),
            BoxField::Size => numbers(json).map(|v| not_nan(v, &mut self.size)),
            BoxField::Rotation => numbers(json).map(|v| not_nan(v, &mut self.rotation)),
            BoxField::Velocity => numbers(json).map(|v| v.map(|v| self.velocity = v)),
            BoxField::EgoTranslation => numbers(json).map(|v| not_nan(v, &mut [0.0; 3])),
            BoxField::DetectionName => json.next_str().map(|text| {
                self.class = Some(DetectionClass::from_name(text).ok_or_else(|| unknown(text))?);
                Ok(())
            }),
            BoxField::AttributeName => json.next_str().map(|text| {
                if !text.is_empty() {
                    self.attribute = Some(Attribute::from_name(text).ok_or_else(|| unknown(text))?);
                }
                Ok(())
            }),
            BoxField::DetectionScore => json.next_float().map(|score| {
                self.score = Some(score);
                if score.is_nan() { Err(BoxProblem::Nan) } else { Ok(()) }
            }),
            BoxField::NumPts => json.next_float().map(|n| {
                // The devkit drops fractions.
                self.is_empty = n.abs() < 1.0;
                if n.is_finite() { Ok(()) } else { Err(BoxProblem::NotFinite) }
            }),
        };
        match value {
            Ok(Ok(())) => Ok(()),
            Ok(Err(problem)) => Err(Wrong::Field(field, problem)),
            Err(error) => Err(match error.error_type {
                JiterErrorType::WrongType { .. } => {
                    Wrong::Field(field, BoxProblem::WrongType(error.error_type.to_string()))
                }
                JiterErrorType::JsonError(_) => Wrong::Json(error),
            }),
        }
    }

    fn finish(self) -> Result<PredictedBox, Wrong> {
        let required = [
            BoxField::SampleToken,
            BoxField::Translation,
            BoxField::Size,
            BoxField::Rotation,
            BoxField::Velocity,
            BoxField::DetectionName,
            BoxField::AttributeName,
        ];
        let missing = required.into_iter().find(|field| self.fields & 1 << *field as u16 == 0);
        match (missing, self.class) {
            (None, Some(class)) => Ok(PredictedBox {
                translation_m: self.translation,
                size_m: self.size,
                rotation: self.rotation,
                velocity_mps: self.velocity,
                // What the devkit gives a box without a score.
                score: self.score.unwrap_or(-1.0),
                class,
                attribute: self.attribute,
                is_empty: self.is_empty,
                other_sample: self.other_sample,
            }),
            (missing, _) => {
                Err(Wrong::Field(missing.unwrap_or(BoxField::DetectionName), BoxProblem::Missing))
            }
        }
    }
}

/// A list of `N` numbers, NaN among them.
fn numbers<const N: usize>(json: &mut Jiter<'_>) -> Result<Result<[f64; N], BoxProblem>, JiterError> {
    let mut values = [0.0; N];
    let mut n_found = 0;
    let mut next: Option<Peek> = json.next_array()?;
    while let Some(peek) = next {
        let value = json.known_float(peek)?;
        if let Some(place) = values.get_mut(n_found) {
            *place = value;
        }
        n_found += 1;
        next = json.array_step()?;
    }
    let is_right = n_found == N;
    Ok(if is_right { Ok(values) } else { Err(BoxProblem::WrongLength { expected: N, found: n_found }) })
}

fn not_nan<const N: usize>(
    values: Result<[f64; N], BoxProblem>,
    place: &mut [f64; N],
) -> Result<(), BoxProblem> {
    *place = values?;
    if place.iter().any(|v| v.is_nan()) { Err(BoxProblem::Nan) } else { Ok(()) }
}

fn unknown(name: &str) -> BoxProblem {
    BoxProblem::UnknownName(name.chars().take(MAX_SHOWN).collect())
}
