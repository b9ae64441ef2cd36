//! Who calls whom in the demonstration.

use super::azure::{MARKER, UNREACHED};
use super::world::{BUSY, SILENT};

/// A call in the making: who calls whom, and what is done once it is up.
#[derive(Clone, Copy)]
pub(super) struct Plot {
    pub(super) name: &'static str,
    pub(super) from: Who,
    pub(super) to: Who,
    pub(super) dialled: &'static str,
    /// The number as the called side sees it.
    pub(super) arrives: &'static str,
    pub(super) caller: &'static str,
    pub(super) act: Act,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Acs,
    Carrier,
    /// Microsoft's telephone network, by way of the resource behind ACS.
    Cloud,
    Pbx,
    Teams,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Busy,
    Cancel,
    Digits,
    HoldAndResume,
    Talk,
}

impl Who {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Acs => "ACS",
            Self::Carrier => "carrier",
            Self::Cloud => "Microsoft",
            Self::Pbx => "PBX",
            Self::Teams => "Teams",
        }
    }
}

const fn plot(
    name: &'static str,
    from: Who,
    to: Who,
    numbers: [&'static str; 3],
    act: Act,
) -> Plot {
    Plot {
        name,
        from,
        to,
        dialled: numbers[0],
        arrives: numbers[1],
        caller: numbers[2],
        act,
    }
}

/// Calls that go on side by side.
pub(super) const TOGETHER: [Plot; 10] = [
    plot(
        "carrier to ACS",
        Who::Carrier,
        Who::Acs,
        ["+14255550101", "+14255550101", "+12065550141"],
        Act::Talk,
    ),
    plot(
        "ACS to carrier",
        Who::Acs,
        Who::Carrier,
        ["+12065550142", "+12065550142", "+14255550102"],
        Act::Talk,
    ),
    plot(
        "PBX to carrier",
        Who::Pbx,
        Who::Carrier,
        ["12065550143", "+12065550143", "+14255550203"],
        Act::Talk,
    ),
    plot(
        "PBX to ACS",
        Who::Pbx,
        Who::Acs,
        ["5550104", "+14255550104", "5550204"],
        Act::Talk,
    ),
    plot(
        "carrier to PBX",
        Who::Carrier,
        Who::Pbx,
        ["+14255550205", "14255550205", "+12065550145"],
        Act::Talk,
    ),
    plot(
        "carrier to Teams",
        Who::Carrier,
        Who::Teams,
        ["+14255550306", "+14255550306", "+12065550146"],
        Act::Talk,
    ),
    plot(
        "a busy number",
        Who::Carrier,
        Who::Acs,
        [BUSY, BUSY, "+12065550147"],
        Act::Busy,
    ),
    plot(
        "the caller gives up",
        Who::Carrier,
        Who::Acs,
        [SILENT, SILENT, "+12065550148"],
        Act::Cancel,
    ),
    plot(
        "hold and resume",
        Who::Carrier,
        Who::Acs,
        ["+14255550109", "+14255550109", "+12065550149"],
        Act::HoldAndResume,
    ),
    plot(
        "digits both ways",
        Who::Carrier,
        Who::Acs,
        ["+14255550110", "+14255550110", "+12065550150"],
        Act::Digits,
    ),
];

/// The call that finds Microsoft's first proxy down.
pub(super) const FIRST_DOWN: Plot = plot(
    "first proxy down",
    Who::Carrier,
    Who::Acs,
    ["+14255550111", "+14255550111", "+12065550151"],
    Act::Talk,
);

/// Three numbers that the office dials: who carries each is foretold.
pub(super) const MIXED: [Plot; 3] = [
    plot(
        "toll-free",
        Who::Pbx,
        Who::Cloud,
        ["18005550151", MARKER, "+14255550206"],
        Act::Talk,
    ),
    plot(
        "a number elsewhere",
        Who::Pbx,
        Who::Carrier,
        ["12065550153", "+12065550153", "+14255550206"],
        Act::Talk,
    ),
    plot(
        "refused by Microsoft",
        Who::Pbx,
        Who::Carrier,
        ["18885550152", UNREACHED, "+14255550206"],
        Act::Talk,
    ),
];
