//! Keys by alias, places by region, and what is refused before anybody is asked.

use qsec_crypto::SecretKey;
use qsec_crypto::kms::Kms;
use serde_json::json;

use crate::fault::{Answer, Server};
use crate::localstack::LocalStack;
use crate::world::{ARN, REGION, TENANT_KEY, at, context, key_id, kms_at, run};

#[test]
fn an_alias_is_resolved_to_the_arn_of_its_key() {
    let Some(localstack) = LocalStack::find() else { return };
    let kms = localstack.kms();
    let key_id = localstack.create_key(REGION, &json!({}));
    let alias = format!("alias/{}", key_id.as_str().rsplit('/').next().unwrap());
    let wanted = json!({ "AliasName": alias, "TargetKeyId": key_id.as_str() });
    localstack.ask(REGION, "CreateAlias", &wanted).unwrap();
    run(async {
        assert_eq!(kms.resolve(REGION, &alias, at(0)).await.unwrap(), key_id);
        assert_eq!(kms.resolve(REGION, key_id.as_str(), at(0)).await.unwrap(), key_id);
        assert_eq!(kms.resolve(REGION, "alias/nobody", at(0)).await.unwrap_err().code(), "key_not_found");
        // What an alias names can change, so no key is ever used by one.
        let arn_of_alias = key_id.as_str().replace("key/", "alias/");
        for name in [alias.as_str(), &arn_of_alias] {
            let name = crate::world::key_id(name);
            let error = kms.wrap(&name, &SecretKey::copy_from(&TENANT_KEY), &context(), at(0)).await.unwrap_err();
            assert_eq!(error.code(), "usage", "{name}");
        }
    });
}

#[test]
fn an_alias_of_no_key_in_the_region_is_not_believed() {
    for arn in
        ["", "mrk-1234", "arn:aws:kms:us-east-1:111122223333:key/1", "arn:aws:kms:eu-central-1:111122223333:alias/a"]
    {
        let server = Server::answering([Answer::Json(200, json!({ "KeyMetadata": { "KeyId": "1", "Arn": arn } }))]);
        let error = run(kms_at(&server.url()).resolve(REGION, "alias/acme", at(0))).unwrap_err();
        assert_eq!(error.code(), "kms_wrong_key", "{arn}");
    }
    let server = Server::answering([]);
    for (region, alias) in [("eu.example/", "alias/acme"), ("", "alias/acme"), (REGION, ""), (REGION, "a\nb")] {
        let error = run(kms_at(&server.url()).resolve(region, alias, at(0))).unwrap_err();
        assert_eq!(error.code(), "usage", "{region} {alias:?}");
    }
    assert!(server.actions().is_empty());
}

#[test]
fn what_is_not_the_arn_of_a_key_is_refused_and_nobody_is_asked() {
    let server = Server::answering([]);
    let kms = kms_at(&server.url());
    for id in ["alias/acme", "mrk-1234abcd", "arn:aws:kms:evil.example#:111122223333:key/1"] {
        let id = key_id(id);
        run(async {
            let key = SecretKey::copy_from(&TENANT_KEY);
            assert_eq!(kms.wrap(&id, &key, &context(), at(0)).await.unwrap_err().code(), "usage");
            assert_eq!(kms.unwrap(&id, b"blob", &context(), at(0)).await.unwrap_err().code(), "usage");
            assert_eq!(kms.describe(&id, at(0)).await.unwrap_err().code(), "usage");
        });
    }
    assert!(server.actions().is_empty());
}

#[test]
fn a_region_is_reached_where_it_was_said_and_every_other_at_the_common_place() {
    let refusal = || Answer::error(400, "DisabledException");
    let (common, frankfurt) = (Server::answering([refusal()]), Server::answering([refusal()]));
    let kms = kms_at(&common.url()).with_region_endpoint("eu-central-1", &frankfurt.url()).unwrap();
    assert_eq!(kms.endpoint(), Some(common.url().as_str()));
    run(async {
        kms.unwrap(&key_id(ARN), b"blob", &context(), at(0)).await.unwrap_err();
        let in_virginia = key_id(&ARN.replace("eu-central-1", "us-east-1"));
        kms.unwrap(&in_virginia, b"blob", &context(), at(0)).await.unwrap_err();
    });
    let (common, frankfurt) = (common.asked(), frankfurt.asked());
    assert_eq!((common.len(), frankfurt.len()), (1, 1));
    assert!(common[0].head.contains("/us-east-1/kms/") && frankfurt[0].head.contains("/eu-central-1/kms/"));
}

#[test]
fn in_the_clear_is_for_loopback() {
    let kms = || kms_at("http://[::1]:4566");
    assert_eq!(kms().with_endpoint("http://kms.example").unwrap_err().code(), "usage");
    assert_eq!(kms().with_region_endpoint(REGION, "http://kms.example").unwrap_err().code(), "usage");
    assert_eq!(kms().with_region_endpoint("eu.central", "https://kms.example").unwrap_err().code(), "usage");
    assert!(kms().with_endpoint("https://kms.example").is_ok());
}
