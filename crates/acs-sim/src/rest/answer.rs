//! Answers, and errors in Azure's form.

use serde_json::{Value, json};

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn bare(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: vec![("content-type", "application/json; charset=utf-8".to_owned())],
            body: body.to_string().into_bytes(),
        }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// An error in Azure's form; its code stands in a header, too.
    pub(super) fn error(status: u16, code: &str, message: &str) -> Self {
        Self::error_with(status, code, json!({"code": code, "message": message}))
    }

    pub(super) fn error_with(status: u16, code: &str, error: Value) -> Self {
        Self::json(status, &json!({ "error": error })).with("x-ms-error-code", code)
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::error(404, "NotFound", &format!("There is no {what}."))
    }

    pub(super) fn bad_request(message: &str) -> Self {
        Self::error(400, "BadRequest", message)
    }
}
