//! `[trunk.context]`.

use b2bua::profile::TrunkProfile;

use crate::config::diagnostic::Findings;
use crate::config::raw;

/// Most custom fields of one message, and most values of User-To-User.
const MOST: (u8, u8) = (64, 8);

/// Octets of the longest value.
const LONGEST: u16 = 4096;

/// Puts what the table says over the preset's values.
pub(super) fn apply(raw: &raw::Context, profile: &mut TrunkProfile, findings: &mut Findings) {
    let name = profile.name.clone();
    let context = &mut profile.context;
    context.pass = raw.pass.or(context.pass);
    let mut bounded =
        |value: Option<(std::ops::Range<usize>, usize)>, key, most, kept: &mut usize| {
            let Some((span, value)) = value else { return };
            if value <= most {
                *kept = value;
            } else {
                findings.error(span, format!("trunk {name}: context.{key}: at most {most}"));
            }
        };
    let small = |value: &toml::Spanned<u8>| (value.span(), usize::from(*value.get_ref()));
    let long = |value: &toml::Spanned<u16>| (value.span(), usize::from(*value.get_ref()));
    let (fields, values) = (usize::from(MOST.0), usize::from(MOST.1));
    bounded(
        raw.fields.as_ref().map(small),
        "fields",
        fields,
        &mut context.fields,
    );
    bounded(
        raw.name.as_ref().map(small),
        "name",
        usize::from(u8::MAX),
        &mut context.name,
    );
    let longest = usize::from(LONGEST);
    bounded(
        raw.value.as_ref().map(long),
        "value",
        longest,
        &mut context.value,
    );
    let user_to_user = raw.user_to_user.as_ref().map(small);
    bounded(
        user_to_user,
        "user_to_user",
        values,
        &mut context.user_to_user,
    );
}
