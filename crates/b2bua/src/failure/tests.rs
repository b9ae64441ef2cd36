use super::*;

fn final_response(code: u16) -> Verdict {
    let status = StatusCode::new(code).unwrap();
    judge(&AttemptFailure::Final {
        status,
        retry_after: None,
        cause: None,
    })
}

#[test]
fn what_the_called_party_says_is_unchanged_and_ends_the_call() {
    for code in [
        403, 404, 410, 480, 484, 486, 487, 488, 500, 600, 603, 604, 606, 607,
    ] {
        let verdict = final_response(code);
        assert_eq!(verdict.status.code(), code);
        assert!(!verdict.advances, "{code} must not be tried elsewhere");
        assert_eq!(verdict.class, FailureClass::User);
    }
}

#[test]
fn what_the_trunk_cannot_do_is_tried_elsewhere_and_makes_microsoft_go_on() {
    let failures = [
        (AttemptFailure::Silent, 504),
        (AttemptFailure::StillDown, 503),
        (AttemptFailure::Transport(TransportError::Refused), 503),
        (
            AttemptFailure::Transport(TransportError::ConnectTimeout),
            503,
        ),
        (AttemptFailure::NoHop, 503),
        (AttemptFailure::Limit(Refused::TrunkFull), 503),
        (AttemptFailure::OtherCustomer, 404),
    ];
    for (failure, code) in failures {
        let verdict = judge(&failure);
        assert!(verdict.advances, "{failure:?}");
        assert_eq!(verdict.status.code(), code, "{failure:?}");
    }
    for code in [408, 503, 504] {
        let verdict = final_response(code);
        assert!(verdict.advances);
        assert_eq!(verdict.status.code(), code);
    }
}

#[test]
fn challenges_and_redirections_never_reach_the_caller() {
    for code in [300, 301, 302, 305, 380, 401, 407] {
        let verdict = final_response(code);
        assert_eq!(verdict.status, StatusCode::SERVICE_UNAVAILABLE, "{code}");
        assert_eq!(verdict.class, FailureClass::Protocol, "{code}");
    }
}

#[test]
fn what_a_trunk_takes_offence_at_is_asked_of_another() {
    for code in [413, 415, 416, 420, 421, 513] {
        let verdict = final_response(code);
        assert_eq!(verdict.status, StatusCode::SERVICE_UNAVAILABLE, "{code}");
        assert!(verdict.advances, "{code}");
    }
}

#[test]
fn a_used_up_budget_ends_the_call_in_time() {
    let verdict = judge(&AttemptFailure::SetupBudget);
    assert!(!verdict.advances);
    assert_eq!(verdict.status, StatusCode::SERVER_TIMEOUT);
}

#[test]
fn a_cause_goes_with_the_status_it_came_with() {
    let cause = Cause::new(34);
    let relayed = judge(&AttemptFailure::Final {
        status: StatusCode::SERVICE_UNAVAILABLE,
        retry_after: None,
        cause,
    });
    assert_eq!(relayed.cause.value(), 34);
    let replaced = judge(&AttemptFailure::Final {
        status: StatusCode::UNAUTHORIZED,
        retry_after: None,
        cause,
    });
    assert_eq!(replaced.cause, Cause::TEMPORARY_FAILURE);
    assert_eq!(judge(&AttemptFailure::NoAnswer).cause, Cause::NO_ANSWER);
}

#[test]
fn the_caller_hears_what_a_called_party_said_before_anything_else() {
    let busy = final_response(486);
    let down = judge(&AttemptFailure::NoHop);
    let silent = judge(&AttemptFailure::Silent);
    assert_eq!(
        best([down, busy, silent], |v| v).map(|v| v.status.code()),
        Some(486)
    );
    assert_eq!(
        best([down, silent], |v| v).map(|v| v.status.code()),
        Some(504)
    );
    assert_eq!(best([], |v| v), None);
}

#[test]
fn q850_follows_rfc_3398() {
    let pairs = [
        (404, 1),
        (486, 17),
        (480, 18),
        (484, 28),
        (503, 41),
        (504, 102),
        (603, 21),
    ];
    for (status, cause) in pairs {
        let status = StatusCode::new(status).unwrap();
        assert_eq!(cause_from_status(status).value(), cause);
    }
    let back = [
        (1, 404),
        (17, 486),
        (18, 408),
        (19, 480),
        (28, 484),
        (34, 503),
        (127, 500),
    ];
    for (cause, status) in back {
        assert_eq!(status_from_cause(Cause::new(cause).unwrap()).code(), status);
    }
    assert_eq!(Cause::new(0), None);
    assert_eq!(Cause::new(128), None);
    for code in 100..=699 {
        let cause = cause_from_status(StatusCode::new(code).unwrap());
        assert!((1..=127).contains(&cause.value()));
        assert!(status_from_cause(cause).code() >= 400);
    }
}

#[test]
fn classes_survive_being_written_down() {
    let classes = [
        FailureClass::User,
        FailureClass::TrunkDown,
        FailureClass::Internal,
    ];
    for class in classes {
        assert_eq!(FailureClass::parse(class.as_str()), Some(class));
    }
    assert_eq!(FailureClass::parse("unheard-of"), None);
}
