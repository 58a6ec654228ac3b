//! What the schema can't express: the rules of `visor validate`, and the operator's policy.

use visor_api::{FakeLogSource, ResolvedSource};

use crate::{
    policy::Policy,
    source::{self, Rejection},
};

/// Checks a source. The policy comes first: what it forbids is said without more ado.
///
/// # Errors
///
/// Why the source is rejected.
pub(crate) fn check(object: &FakeLogSource, policy: &Policy) -> Result<ResolvedSource, Rejection> {
    policy.check(&object.spec)?;
    source::check(object)
}
