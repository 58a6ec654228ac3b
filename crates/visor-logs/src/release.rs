//! The releases of httpd whose logs can be written. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantNames};

/// A release of httpd, in the order of their appearance.
#[derive(
    Serialize,
    Deserialize,
    JsonSchema,
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    EnumString,
    IntoStaticStr,
    VariantNames,
)]
pub enum Release {
    /// The last one of 2.2: messages without numbers, without levels of trace
    #[serde(rename = "2.2.34")]
    #[strum(serialize = "2.2.34")]
    V2_2_34,
    /// The last one of 2.4 whose error log has the thread IDs of POSIX, with 15 digits
    #[serde(rename = "2.4.59")]
    #[strum(serialize = "2.4.59")]
    V2_4_59,
    /// The present one: its error log has the thread IDs of the kernel, as `[pid 7:tid 7]`
    #[serde(rename = "2.4.71")]
    #[strum(serialize = "2.4.71")]
    V2_4_71,
}

impl Release {
    /// The present release.
    pub const PRESENT: Self = Self::V2_4_71;

    /// Its number.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// What its server calls itself, on Debian; 2.2.34 was never in Debian.
    pub const fn software(self) -> &'static str {
        match self {
            Self::V2_2_34 => "Apache/2.2.34 (Unix)",
            Self::V2_4_59 => "Apache/2.4.59 (Debian)",
            Self::V2_4_71 => "Apache/2.4.71 (Debian)",
        }
    }
}
