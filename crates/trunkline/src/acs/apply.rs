//! The change itself: read again, kept, written in one step, read back.

use acs_client::sip_routing::SipConfiguration;
use jiff::Timestamp;

use super::plan::{Plan, normal};
use super::{Applied, ApplyArgs, Desk, compared, saved, show};
use crate::azure::{self, Stop};
use crate::output;

pub(super) async fn run(desk: &Desk, args: &ApplyArgs) -> Result<u8, Stop> {
    let (plan, warnings) = compared(desk, &args.diff).await?;
    let json = args.diff.json;
    if plan.changes.is_empty() || !plan.clashes.is_empty() {
        show(json, desk, &plan, &warnings, None);
        return Ok(u8::from(!plan.clashes.is_empty()));
    }
    if !json {
        show(false, desk, &plan, &warnings, None);
    }
    let many = plan.changes.len();
    let question = format!("write {many} changes to Azure?");
    azure::agreed(&question, args.yes, json, "nothing was written")?;
    let written = commit(desk, &plan).await?;
    if json {
        show(true, desk, &plan, &warnings, Some(&written.applied));
        return Ok(0);
    }
    if let Some(error) = &written.doubt {
        output::error(format_args!("warning: {error}; read back, it was made"));
    }
    output::line("written and read back; Azure needs about five minutes to follow it");
    let restore = restore(&written.applied);
    output::line(format_args!("what was there before: {restore}"));
    Ok(0)
}

/// A change that was made.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) applied: Applied,
    /// Why it was not known to be made until it was read back.
    pub(super) doubt: Option<String>,
}

fn restore(applied: &Applied) -> String {
    format!("trunkline acs apply --restore {}", applied.saved.display())
}

/// Makes the change of `plan`, if what is there is still what it was made for.
pub(super) async fn commit(desk: &Desk, plan: &Plan) -> Result<Written, Stop> {
    // Somebody may have changed it while the question was on the screen.
    let again = read(desk).await?;
    if again != plan.current {
        return Err(Stop(
            1,
            "Azure's routing was changed by somebody else meanwhile; nothing was written, run it \
             again"
                .to_owned(),
        ));
    }
    let endpoint = desk.client.endpoint();
    let kept = saved::write(&desk.acs.backups, &endpoint, Timestamp::now(), &again);
    let saved = kept.map_err(|error| {
        let why = format!("nothing was written: what is there now cannot be kept: {error}");
        Stop(1, why)
    })?;
    let applied = Applied { saved };
    let restore = restore(&applied);
    let doubt = match desk.client.patch_sip_configuration(&plan.patch()).await {
        Ok(_) => None,
        // An answer nobody understands is as good as none.
        Err(error) if error.is_outcome_unknown() || error.answer().is_none() => {
            Some(error.to_string())
        }
        Err(error) => return Err(Stop(1, format!("nothing was written: {error}"))),
    };
    let now = read(desk).await.map_err(|Stop(code, why)| {
        let doubt = doubt.as_deref().unwrap_or("Azure took the change");
        let see = format!("see trunkline acs diff, or {restore}");
        Stop(
            code,
            format!("{doubt}; it could not be read back: {why}; {see}"),
        )
    })?;
    verified(plan, &now, doubt.as_deref(), &restore)?;
    Ok(Written { applied, doubt })
}

async fn read(desk: &Desk) -> Result<SipConfiguration, Stop> {
    let read = desk.client.sip_configuration().await;
    read.map(normal).map_err(|error| Stop::azure(&error))
}

/// Compares what is there after a change with what was asked for.
fn verified(
    plan: &Plan,
    now: &SipConfiguration,
    unknown: Option<&str>,
    restore: &str,
) -> Result<(), Stop> {
    if *now == plan.target {
        return Ok(());
    }
    let why = match unknown {
        Some(error) if *now == plan.current => format!("nothing was written: {error}"),
        Some(error) => {
            format!("{error}; what is there now is neither the old nor the new: {restore}")
        }
        None => format!(
            "Azure took the change, and what it says now is not what was written: somebody else \
             changed it, or Azure writes it otherwise; see trunkline acs diff, or {restore}"
        ),
    };
    Err(Stop(1, why))
}
