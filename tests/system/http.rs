//! The bridge as an ERP and a careless caller use it.

use serde_json::{Value, json};

use super::support::{Answer, Instance, configuration, into_answer};

fn problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{:?}", answer.body);
    assert_eq!(answer.content_type, "application/problem+json");
    assert_eq!(answer.body["code"], code);
    assert_eq!(answer.body["status"], status);
    for member in ["type", "title", "detail", "next_step"] {
        assert!(answer.body[member].as_str().is_some_and(|text| !text.is_empty()), "{member}");
    }
}

fn raw(
    instance: &Instance,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut request =
        ureq::http::Request::builder().method(method).uri(format!("{}{path}", instance.http));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    into_answer(instance.agent().run(request.body(body.to_owned()).unwrap()).unwrap()).unwrap()
}

const AUTHORIZED: (&str, &str) =
    ("authorization", "Basic c3VwZXJ2aXNvcjpzdXBlcnZpc29yLWRlbW8tcGFzc3dvcmQ=");

#[test]
fn orders_are_stored_once_and_commands_have_their_effect_once() {
    let directory = tempfile::tempdir().unwrap();
    let instance = Instance::start(&configuration(directory.path(), None));
    let stored = instance.put_order("WO-1", "LM", "Cola-05");
    assert_eq!((stored.status, &stored.body["applied"]), (201, &json!(true)));
    let again = instance.put_order("WO-1", "LM", "Cola-05");
    assert_eq!((again.status, &again.body["applied"]), (200, &json!(false)));
    assert_eq!(again.body["not_applied_because"], "same_revision");
    let body = |revision: u64, quantity: &str| json!({"revision": revision, "line": "LM", "product": "Cola-05", "quantity": quantity});
    problem(&instance.put("/v1/orders/WO-1", &body(1, "5")), 409, "mes.order.revision_conflict");
    assert_eq!(instance.put("/v1/orders/WO-1", &body(3, "5.5")).body["quantity"], "5.5");
    let stale = instance.put("/v1/orders/WO-1", &body(2, "7"));
    assert_eq!(stale.body["not_applied_because"], "stale_revision");
    assert_eq!((&stale.body["revision"], &stale.body["quantity"]), (&json!(3), &json!("5.5")));

    problem(
        &instance.command("WO-1", &json!({"command": "pause"}), "k0"),
        409,
        "mes.order.illegal_command",
    );
    let start = instance.command("WO-1", &json!({"command": "start"}), "k1");
    assert_eq!((start.status, &start.body["state"]), (200, &json!("Running")));
    let report = json!({"command": "report", "good": 10, "scrap": 2, "reason": "jam"});
    assert_eq!(instance.command("WO-1", &report, "k2").status, 200);
    let repeated = instance.command("WO-1", &report, "k2");
    assert!(repeated.replayed && repeated.status == 200);
    let other = json!({"command": "report", "good": 11});
    problem(&instance.command("WO-1", &other, "k2"), 422, "mes.request.key_reused");
    let totals = instance.get("/v1/orders/WO-1").body["totals"].clone();
    assert_eq!(totals, json!({"good": 10, "scrap": 2, "rework": 0, "unattributed": 0}));
    let consume = json!({"command": "consume", "lot": "STEEL-7", "quantity": "2.5"});
    assert_eq!(instance.command("WO-1", &consume, "k3").status, 200);
    assert_eq!(
        instance.command("WO-1", &json!({"command": "complete"}), "k4").body["state"],
        "Ended"
    );

    let feed = instance.get("/v1/confirmations?after=0").body;
    let kinds: Vec<_> =
        feed["confirmations"].as_array().unwrap().iter().map(|c| c["kind"].clone()).collect();
    assert_eq!(kinds, ["state_changed", "reported", "state_changed"]);
    assert_eq!(
        feed["confirmations"][1]["delta"],
        json!({"good": 10, "scrap": 2, "rework": 0, "unattributed": 0})
    );
    assert_eq!(feed["confirmations"][2]["delta"]["good"], 0);
    let rest = instance.get("/v1/confirmations?after=2").body;
    assert_eq!(rest["confirmations"].as_array().unwrap().len(), 1);

    let made = instance.get("/v1/lots/WO-1/genealogy").body;
    assert_eq!(
        (&made["made_from"], &made["produced_quantity"]),
        (&json!(["STEEL-7"]), &json!("10"))
    );
    let used = instance.get("/v1/lots/STEEL-7/genealogy").body;
    assert_eq!(used["used_in"], json!(["WO-1"]));
    let operations = used["operations"].as_array().unwrap();
    let operation = operations.iter().find(|o| o["lot"] == "STEEL-7").unwrap();
    assert_eq!(
        (&operation["operator"], &operation["quantity"]),
        (&json!("supervisor"), &json!("2.5"))
    );
    let listed = instance.get("/v1/orders?state=Ended&limit=1").body;
    assert_eq!(listed["orders"][0]["id"], "WO-1");
}

#[test]
fn every_refusal_is_problem_json_that_names_the_next_step() {
    let directory = tempfile::tempdir().unwrap();
    let instance = Instance::start(&configuration(directory.path(), None));
    let json_type = ("content-type", "application/json");
    let order = r#"{"revision":1,"line":"LM","product":"Cola-05","quantity":"5"}"#;
    let put =
        |headers: &[(&str, &str)], body: &str| raw(&instance, "PUT", "/v1/orders/X", headers, body);
    problem(&put(&[json_type], order), 401, "mes.access.unauthenticated");
    let wrong = ("authorization", "Basic ZXJwOndyb25n");
    problem(&put(&[wrong, json_type], order), 401, "mes.access.unauthenticated");
    problem(&put(&[AUTHORIZED, json_type], "{"), 400, "mes.request.malformed");
    problem(&put(&[AUTHORIZED, json_type], "{}"), 422, "mes.request.invalid");
    let unknown = order.replace("\"line\"", "\"lien\"");
    let refused = put(&[AUTHORIZED, json_type], &unknown);
    problem(&refused, 422, "mes.request.invalid");
    assert!(refused.body["detail"].as_str().unwrap().contains("lien"));
    let float = order.replace("\"5\"", "5.0");
    problem(&put(&[AUTHORIZED, json_type], &float), 422, "mes.request.invalid");
    let nowhere = order.replace("LM", "L9");
    problem(&put(&[AUTHORIZED, json_type], &nowhere), 422, "mes.line.unknown");
    let huge = format!("\"{}\"", "x".repeat(2 << 20));
    problem(&put(&[AUTHORIZED, json_type], &huge), 413, "mes.request.refused");
    problem(
        &raw(&instance, "DELETE", "/v1/orders/X", &[AUTHORIZED], ""),
        405,
        "mes.request.method",
    );
    problem(&instance.get("/v1/nothing"), 404, "mes.request.not_found");
    problem(&instance.get("/v1/orders/X"), 404, "mes.request.not_found");
    problem(&instance.get("/v1/orders/a%20b"), 422, "mes.request.invalid");
    problem(&instance.get("/v1/kpi?equipment=L1"), 400, "mes.request.malformed");
    problem(&instance.get("/v1/kpi?equipment=L1&from=yesterday"), 422, "mes.request.invalid");
    let backwards = "/v1/kpi?equipment=L1&from=2026-02-02T00:00:00Z&to=2026-02-01T00:00:00Z";
    problem(&instance.get(backwards), 422, "mes.request.invalid");
    problem(
        &instance.get("/v1/kpi?equipment=L9&from=2026-11-01T00:00:00Z"),
        404,
        "mes.request.not_found",
    );
    let no_key = raw(
        &instance,
        "POST",
        "/v1/orders/X/commands",
        &[AUTHORIZED, json_type],
        r#"{"command":"start"}"#,
    );
    problem(&no_key, 400, "mes.request.key_missing");
    problem(
        &instance.command("X", &json!({"command": "explode"}), "k"),
        422,
        "mes.request.invalid",
    );
    problem(&instance.command("X", &json!({"command": "start"}), "k"), 404, "mes.order.unknown");
    // An observer may read and not write; the operator may not store orders.
    let operator = ("authorization", "Basic b3BlcmF0b3I6b3BlcmF0b3ItZGVtby1wYXNzd29yZA==");
    problem(&put(&[operator, json_type], order), 403, "mes.access.forbidden");
}

#[test]
fn operations_endpoints_tell_how_the_program_is() {
    let directory = tempfile::tempdir().unwrap();
    let instance = Instance::start(&configuration(directory.path(), None));
    assert_eq!(instance.get("/livez").status, 200);
    assert_eq!(instance.get("/readyz").body, json!({"status": "ready"}));
    let Value::String(metrics) = instance.get("/metrics").body else { panic!("metrics are text") };
    for name in ["mes_ready 1", "mes_machine_up{machine=\"L1-Filler\"} 0", "mes_db_bytes"] {
        assert!(metrics.contains(name), "{name} is not in\n{metrics}");
    }
}
