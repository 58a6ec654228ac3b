//! Time zones by their names in the built-in IANA database, so that a document means the same on
//! every machine. Pure.

use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::{
    message::{nearest, shown},
    parsed::Meaning,
};

impl Meaning for TimeZone {
    fn parse(name: &str) -> Result<Self, String> {
        named(name)
    }
}

/// The time zone of this name.
///
/// # Errors
///
/// If there is none, with a suggestion.
pub fn named(name: &str) -> Result<TimeZone, String> {
    let zones = TimeZoneDatabase::bundled();
    if let Ok(zone) = zones.get(name) {
        return Ok(zone);
    }
    let known: Vec<String> = zones.available().map(|zone| zone.as_str().to_owned()).collect();
    // Many people write only the city, which is the last part of the name.
    let city = |zone: &str| zone.rsplit('/').next().map(str::to_lowercase);
    let meant = nearest(name, known.iter().map(String::as_str))
        .or_else(|| known.iter().map(String::as_str).find(|zone| city(zone) == city(name)));
    let advice = match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "use a name such as `UTC` or `Europe/Berlin`".to_owned(),
    };
    Err(format!("unknown time zone `{}`; {advice}", shown(name)))
}
