//! Roadworks, and what must stand somewhere so that every class occurs.

use super::super::draw::Draw;
use super::super::drive::Attribute;
use super::super::things::{Category, Posture, Thing};
use super::fill::{Filler, lane_yaw};
use glam::Vec2;
use std::f32::consts::{FRAC_PI_2, PI};

impl Filler<'_> {
    /// A stretch of roadworks at the edge of the first street: a machine, cones, barriers and people.
    pub(super) fn roadworks(&mut self, draw: &mut Draw, near: bool) {
        let Some(street) = self.network.streets.first().copied() else { return };
        let length = draw.range(10.0, 22.0);
        let machine = Thing::draw_construction_vehicle(draw, true);
        // Between the lane and the far side of the pavement, or what the machine needs beyond it.
        let inner = street.lane_m + 0.5;
        let outer =
            (street.half_width_m + self.mood.pavement_m.max(1.0) + 3.2).max(inner + machine.size_lwh.y + 1.6);
        let (mut side, mut from) = (1.0, 8.0);
        for attempt in 0..20 {
            side = draw.sign();
            // Nearer stretches first, then a little farther with every try.
            from = draw.range(5.0, 12.0) + if near { attempt as f32 } else { 3.0 * attempt as f32 };
            let is_clear = [0.0, 0.5, 1.0].iter().all(|share| {
                let (place, _) = street.place(from + share * length, side * inner);
                self.is_clear_of_others(&street, place, 3.0)
            });
            if is_clear {
                break;
            }
        }
        let (place, heading) =
            street.place(from + length * 0.5, side * (inner + 0.6 + machine.size_lwh.y * 0.5));
        let yaw = lane_yaw(heading, side) + 0.05 * draw.bell();
        self.put(machine, place, yaw, Some(Attribute::VehicleStopped));
        let mut along = from;
        while along < from + length {
            let (place, heading) = street.place(along, side * (inner + 0.2 * draw.bell().abs()));
            let cone = Thing::draw_cone(draw);
            self.put(cone, place, heading, None);
            along += draw.range(1.2, 3.0);
        }
        for end in [from - 1.0, from + length + 1.0] {
            let (place, heading) = street.place(end, side * (inner + 1.5));
            // A barrier is thin along its own x: it closes the strip off across the street.
            let barrier = Thing::draw_barrier(draw);
            self.put(barrier, place, heading + 0.1 * draw.bell(), None);
        }
        for idx in 0..1 + draw.index(4) {
            let (place, heading) = street.place(from + 1.5 + 2.7 * idx as f32, side * outer);
            let barrier = Thing::draw_barrier(draw);
            self.put(barrier, place, heading + FRAC_PI_2 + 0.05 * draw.bell(), None);
        }
        for _ in 0..1 + draw.index(4) {
            let across = draw.range(inner + 0.5, outer - 0.5);
            let (place, _) = street.place(from + draw.range(0.0, length), side * across);
            let worker = Thing::draw_person(draw, Category::Worker, Posture::Standing);
            self.put(worker, place, draw.range(-PI, PI), Some(Attribute::PedestrianStanding));
        }
    }

    /// A bus, a trailer, a lorry, a motorcycle, bicycles and people beside the beginning of the way.
    pub(super) fn rare_things(&mut self, draw: &mut Draw) {
        let region = self.mood.region;
        // Small things more than once: one of them may be hidden behind a parked vehicle all the time.
        let person = |draw: &mut Draw| Thing::draw_person(draw, Category::Adult, Posture::Standing);
        let things = [
            (Thing::draw_bus(draw, region, true), Attribute::VehicleStopped),
            (Thing::draw_trailer(draw), Attribute::VehicleParked),
            (Thing::draw_truck(draw, region, false), Attribute::VehicleParked),
            (Thing::draw_motorcycle(draw, false), Attribute::VehicleParked),
            (Thing::draw_bicycle(draw, false), Attribute::CycleWithoutRider),
            (Thing::draw_car(draw, region, false), Attribute::VehicleParked),
            (Thing::draw_bicycle(draw, false), Attribute::CycleWithoutRider),
            (person(draw), Attribute::PedestrianStanding),
            (person(draw), Attribute::PedestrianStanding),
            (person(draw), Attribute::PedestrianStanding),
        ];
        for (thing, attribute) in things {
            self.put_near_beginning(draw, &thing, attribute);
        }
    }

    /// Finds room at the edge of the first street, the nearer the better.
    fn put_near_beginning(&mut self, draw: &mut Draw, thing: &Thing, attribute: Attribute) {
        let Some(street) = self.network.streets.first().copied() else { return };
        for attempt in 0..60 {
            let reach = 8.0 + attempt as f32;
            let side = draw.sign();
            let along = draw.range(-0.6 * reach, reach);
            let across = street.half_width_m.max(street.lane_m + 0.3) + 0.3 + thing.size_lwh.y * 0.5;
            let (place, heading) = street.place(along, side * across);
            let margin = 1.0 + thing.size_lwh.x * 0.5;
            if self.is_clear_of_others(&street, place, margin)
                && self.put(thing.clone(), place, lane_yaw(heading, side), Some(attribute))
            {
                return;
            }
        }
        // Beyond the pavement there is always room: nothing else has been put anywhere yet.
        let (place, heading) = street.place(draw.range(5.0, 40.0), street.half_width_m + 14.0);
        if self.scene.claim(place, Vec2::splat(0.1), heading) {
            self.put(thing.clone(), place + Vec2::splat(0.5), heading, Some(attribute));
        }
    }
}
