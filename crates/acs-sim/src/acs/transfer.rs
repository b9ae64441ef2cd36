//! Transfers Microsoft's side asks for: REFER, what must become of it, and the new INVITE which
//! must bring back what was given, byte for byte.

use sip_msg::{HeaderName, Request};

use super::checks::malformed;
use super::report::Ledger;
use super::{AcsSim, Microsoft, REMEMBERED, texture};
use crate::agent::locked;
use crate::call::{CallHandle, Notified};
use crate::dialog::raw;
use crate::manner::Refusal;
use crate::refer::{self, Transfer};

/// Most transfers remembered.
const ISSUED: usize = REMEMBERED;

/// What was given to the gateway to bring back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Issued {
    uri: String,
    referred_by: String,
}

impl AcsSim {
    /// A transfer as Microsoft asks for it: a target without a user, whose parameters and those of
    /// Referred-By name people and calls; the values have upper-case letters and escapes.
    pub fn transfer_to_itself(&self, proxy: usize) -> Transfer {
        let host = self.side_host(proxy);
        let token = crate::random::token;
        let (target, transferor) = (texture::guid(), texture::guid());
        Transfer {
            refer_to: format!("<sip:{host};transport=tls;x-m=8:orgid:{target}>"),
            referred_by: Some(format!(
                "<sip:{host};x-m=8:orgid:{transferor};x-t={};x-ti={};x-tt=aHR0cHM6Ly9{}{}{}Q%3D%3d>",
                texture::guid(),
                texture::guid(),
                token(),
                token().to_uppercase(),
                token(),
            )),
            ..Transfer::default()
        }
    }

    /// Asks for a transfer of `call`, and remembers what the gateway must bring back. Gives the
    /// status of the REFER's final response; what became of the transfer is in the call's state.
    pub async fn transfer(&self, call: &CallHandle, transfer: Transfer) -> Option<u16> {
        if let Some(referred_by) = &transfer.referred_by {
            let mut issued = locked(&self.side.issued);
            if issued.len() < ISSUED {
                issued.push(Issued {
                    uri: transfer.uri().to_owned(),
                    referred_by: referred_by.clone(),
                });
            }
        }
        let response = call.refer(transfer).await?;
        Some(response.status.code())
    }
}

impl Microsoft {
    /// The INVITE of a transfer: its Request-URI and Referred-By are what was given. A wrong or
    /// missing Referred-By is answered as Microsoft does, with 400.
    pub(crate) fn check_transferred(
        &self,
        ledger: &mut Ledger,
        request: &Request,
    ) -> Option<Refusal> {
        let uri = request.uri.as_str();
        let referred_by = raw(&request.headers, &HeaderName::ReferredBy);
        let issued = locked(&self.issued);
        let by_target: Vec<_> = issued.iter().filter(|known| known.uri == uri).collect();
        let fault = if by_target
            .iter()
            .any(|known| known.referred_by == referred_by)
        {
            return None;
        } else if let Some(known) = by_target.first() {
            format!(
                "Referred-By is {referred_by:?}, not {:?}",
                known.referred_by
            )
        } else if let Some(known) = issued.iter().find(|known| known.referred_by == referred_by) {
            format!("Request-URI is {uri}, not {}", known.uri)
        } else if !referred_by.is_empty() {
            format!("nobody asked for {uri} with Referred-By {referred_by:?}")
        } else {
            return None;
        };
        ledger.note("X-03", fault);
        Some(malformed("Referred-By is missing or altered"))
    }

    pub(crate) fn check_notify(&self, request: &Request, before: &[Notified]) {
        if let Some(fault) = refer::fault(request, before) {
            self.ledger().note("X-02", fault);
        }
    }
}
