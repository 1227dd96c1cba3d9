//! What the places of a drive have in common.

use super::super::draw::Draw;
use super::super::things::Region;
use super::streets::Street;
use glam::Vec2;
use std::f32::consts::{FRAC_PI_2, PI};

/// What kind of place a drive goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulate) enum Kind {
    Residential,
    City,
    Lot,
    OpenRoad,
}

impl Kind {
    /// What the place is called.
    pub(in crate::simulate) fn in_words(self) -> &'static str {
        match self {
            Self::Residential => "residential street",
            Self::City => "city street",
            Self::Lot => "car park",
            Self::OpenRoad => "open road",
        }
    }
}

/// What the places of a drive have in common.
pub(in crate::simulate) struct Mood {
    pub(in crate::simulate) kind: Kind,
    pub(in crate::simulate) region: Region,
    /// 0: gardens and fields; 1: closed rows of houses.
    pub(in crate::simulate) urban: f32,
    /// Share of the taken places at the kerb.
    pub(in crate::simulate) parked: f32,
    /// Moving vehicles per lane and metre, relative to a usual day.
    pub(in crate::simulate) traffic: f32,
    /// People on the pavements, likewise.
    pub(in crate::simulate) people: f32,
    /// Riders among the traffic and on the pavements, likewise.
    pub(in crate::simulate) riders: f32,
    pub(in crate::simulate) pavement_m: f32,
    /// Chance of roadworks beside the way.
    pub(in crate::simulate) roadworks: f32,
    /// A paved place without kerbs, as (centre, half sizes) along the first street's axes.
    pub(in crate::simulate) lot: Option<(Vec2, Vec2)>,
    /// What drivers wish to drive, m/s.
    pub(in crate::simulate) speed_m_s: f32,
}

impl Mood {
    /// The mood of a drive; `crowd` is a factor on the number of people and riders.
    pub(in crate::simulate) fn draw(draw: &mut Draw, region: Region, crowd: f32) -> Self {
        let kind = draw.weighted(
            &[(0.44, Kind::Residential), (0.36, Kind::City), (0.08, Kind::Lot), (0.12, Kind::OpenRoad)],
            Kind::City,
        );
        let quiet = draw.chance(0.12);
        let busy = if quiet { 0.1 } else { draw.range(0.3, 1.7) };
        let urban = match kind {
            Kind::City => draw.range(0.5, 1.0),
            Kind::OpenRoad => draw.range(0.0, 0.2),
            _ => draw.range(0.15, 1.0),
        };
        let parked = match kind {
            Kind::OpenRoad => 0.02,
            Kind::Residential | Kind::City => draw.unit() * draw.range(0.3, 0.9),
            Kind::Lot => draw.range(0.0, 0.35),
        };
        let lot =
            (kind == Kind::Lot).then(|| (Vec2::new(draw.range(-8.0, 30.0), 0.0), Vec2::new(34.0, 24.0)));
        Self {
            kind,
            region,
            urban,
            parked: if quiet { parked * 0.15 } else { parked },
            traffic: busy * draw.range(0.4, 1.2),
            people: crowd * if quiet { 0.1 } else { draw.unit() * draw.range(0.3, 2.6) },
            riders: crowd,
            pavement_m: if kind == Kind::OpenRoad { 0.3 } else { draw.range(1.5, 4.0) },
            roadworks: 0.12,
            lot,
            speed_m_s: match kind {
                Kind::OpenRoad => draw.range(11.0, 20.0),
                Kind::City => draw.range(7.0, 13.0),
                Kind::Residential => draw.range(6.0, 11.0),
                Kind::Lot => draw.range(4.0, 9.0),
            },
        }
    }

    /// The streets of the drive; the own car begins on the first, at its origin.
    pub(in crate::simulate) fn streets(&self, draw: &mut Draw) -> Vec<Street> {
        let heading = draw.range(-PI, PI);
        let bend = if self.kind == Kind::OpenRoad { 0.004 } else { 0.0015 };
        let curvature = if draw.chance(0.4) { bend * draw.bell() } else { 0.0 };
        let main = self.street(draw, Vec2::ZERO, heading, curvature);
        let mut streets = vec![main];
        if self.kind == Kind::OpenRoad {
            if draw.chance(0.4) {
                let (origin, at) = main.place(draw.range(15.0, 120.0), 0.0);
                streets.push(self.street(draw, origin, at + FRAC_PI_2, 0.0));
            }
            return streets;
        }
        // Cross streets, the first of them behind, then a street to each side that runs beside the first.
        let mut along = draw.range(-85.0, -25.0);
        for _ in 0..4 {
            let (origin, at) = main.place(along, 0.0);
            let turn = 0.10 * draw.bell();
            streets.push(self.street(draw, origin, at + FRAC_PI_2 + turn, 0.0));
            along += draw.range(60.0, 120.0);
        }
        for side in [1.0, -1.0] {
            let (origin, _) = main.place(0.0, side * draw.range(85.0, 145.0));
            let turn = 0.05 * draw.bell();
            streets.push(self.street(draw, origin, heading + turn, 0.0));
        }
        streets
    }

    fn street(&self, draw: &mut Draw, origin: Vec2, heading: f32, curvature: f32) -> Street {
        let parking = if self.kind == Kind::OpenRoad || draw.chance(0.25) { 0.0 } else { 2.2 };
        Street::new(origin, heading, curvature, draw.range(2.8, 3.6), parking)
    }
}
