//! Machines with defects that show seldom. Each is caught by a law, by name.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;
mod subtle_kit;

use common::tape_roles;
use drivebay_conformance::laws::{self, Outcome};
use drivebay_disk::DiskReader;
use std::sync::Arc;
use subtle_kit::{Odd, Oddity};

/// The law is broken by each oddity, and what is said of it holds these words.
#[track_caller]
fn breaks(law: &str, kinds: &[(Oddity, &str)]) {
    for (kind, words) in kinds {
        let reader: Arc<dyn DiskReader> = Arc::new(Odd::new(*kind));
        let result = laws::check(law, &reader, &Arc::new(tape_roles())).unwrap();
        match result.outcome {
            Outcome::Broken(broken) => {
                assert!(broken.to_string().contains(words), "{kind:?}: {broken}");
            }
            other => panic!("{law} for {kind:?}: {other:?}"),
        }
    }
}

#[test]
fn roles() {
    breaks("roles", &[(Oddity::FirstTimeIsDear, "the second time")]);
}

#[test]
fn repeat() {
    let kinds = [
        (Oddity::TicksAreForgotten, "as cron ticks"),
        (Oddity::ClockOfSeconds, "reply"),
        (Oddity::TimesOut, "OutOfFuel"),
        (Oddity::TimeIsFuel, "cost"),
        (Oddity::WearsOut, "a long life"),
        (Oddity::DeletionsAreLost, "a long life"),
        (Oddity::IdsWithoutModule, "the id of another"),
        (Oddity::SizeIsSeen, "looked at between calls"),
        (Oddity::HashOrder, "reply"),
        (Oddity::SharedBuffer, "reply"),
        (Oddity::AddressOrder, "reply"),
    ];
    breaks("repeat", &kinds);
}

#[test]
fn image() {
    breaks("image", &[(Oddity::OneDriveAnImage, "one drive of an image changed another")]);
}

#[test]
fn freeze() {
    breaks("freeze", &[(Oddity::ImagesOnce, "root"), (Oddity::TwinsShareFaults, "twin")]);
}

#[test]
fn fault() {
    breaks(
        "fault",
        &[
            (Oddity::OutboxOutlivesFaults, "reply"),
            (Oddity::PayloadUnbounded, "over the limit"),
            (Oddity::TellsItsSource, "tells of this machine"),
        ],
    );
}

#[test]
fn host_error() {
    let kinds = [
        (Oddity::HostErrorsUnsettle, "at once after a host error"),
        (Oddity::IoIsAbsence, "no answer, yet"),
    ];
    breaks("host-error", &kinds);
}

#[test]
fn dry() {
    breaks("dry", &[(Oddity::DryRunsUnsettle, "dry-run"), (Oddity::DryRunsAreFree, "fuel")]);
}

#[test]
fn fuel() {
    let kinds = [
        (Oddity::SeesItsFuel, "fuel"),
        (Oddity::DryRunsAreFree, ""),
        (Oddity::FuelFromImages, "fuel"),
    ];
    breaks("fuel", &kinds);
}

#[test]
fn limits() {
    let kinds = [(Oddity::DepthByStack, "became"), (Oddity::ShallowWhenThawed, "became")];
    breaks("limits", &kinds);
}

#[test]
fn messages() {
    let kinds = [
        (Oddity::PanicsWithoutData, "no data: panicked"),
        (Oddity::PanicsAtLastSlot, "the last place: panicked"),
        (Oddity::PanicsOnOddText, "data that is no text: panicked"),
        (Oddity::PanicsOnTags, "Compute-Limit"),
    ];
    breaks("messages", &kinds);
}

#[test]
fn refusal() {
    breaks(
        "refusal",
        &[(Oddity::CodeByLength, "is of module"), (Oddity::PoisonedByBent, "refused")],
    );
}
