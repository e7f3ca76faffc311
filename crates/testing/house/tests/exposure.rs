//! The rules of `template.yaml` about who can be reached by whom, and about what holds data: networks, encryption,
//! deletion, and what browsers are told.

use std::collections::BTreeSet;

use guildhall_house::cloudformation::{Template, referenced, walk};
use guildhall_house::repository;
use serde_json::{Value, json};

const EVERYWHERE: &str = "0.0.0.0/0";
const NOWHERE: &str = "127.0.0.1/32";

/// What would be missed, or could be read by strangers, when a stack goes.
const HOLDS_DATA: [&str; 7] = [
    "AWS::DynamoDB::Table",
    "AWS::EC2::EIP",
    "AWS::ElastiCache::ReplicationGroup",
    "AWS::Logs::LogGroup",
    "AWS::S3::Bucket",
    "AWS::SQS::Queue",
    "AWS::SecretsManager::Secret",
];

fn template() -> Template {
    Template::read(&repository::root()).expect("template.yaml is a template")
}

/// The names that a part of the template refers to.
fn references(part: &Value) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    walk(part, &mut |value| found.extend(referenced(value)));
    found
}

/// The subnets from which the internet gateway is the way out: what stands there can be reached.
fn public_subnets(template: &Template) -> BTreeSet<&str> {
    let routes = template.resources("AWS::EC2::Route");
    let open: BTreeSet<_> = routes
        .values()
        .filter(|route| !route["Properties"]["GatewayId"].is_null())
        .filter_map(|route| referenced(&route["Properties"]["RouteTableId"]))
        .collect();
    let associations = template.resources("AWS::EC2::SubnetRouteTableAssociation");
    let on_open = associations.values().map(|association| &association["Properties"]);
    on_open
        .filter(|p| referenced(&p["RouteTableId"]).is_some_and(|table| open.contains(table)))
        .filter_map(|p| referenced(&p["SubnetId"]))
        .collect()
}

#[test]
fn nothing_stands_in_a_public_subnet_but_address_translation() {
    let template = template();
    let public = public_subnets(&template);
    assert_eq!(public, BTreeSet::from(["PublicSubnetA", "PublicSubnetB"]));
    let mut there = BTreeSet::new();
    for (name, resource) in template.all_resources() {
        if references(&resource["Properties"]).is_disjoint(&public) {
            continue;
        }
        let kind = resource["Type"].as_str().expect("a type");
        assert!(
            ["AWS::EC2::NatGateway", "AWS::EC2::SubnetRouteTableAssociation"].contains(&kind),
            "{name} ({kind}) stands in a public subnet"
        );
        there.insert(kind);
    }
    assert!(there.contains("AWS::EC2::NatGateway"), "the way out was looked at");
    walk(template.section("Resources"), &mut |value| {
        for (field, wrong) in [
            ("MapPublicIpOnLaunch", json!(true)),
            ("AssignPublicIp", json!("ENABLED")),
            ("PubliclyAccessible", json!(true)),
        ] {
            assert_ne!(value[field], wrong, "{field} gives an address to what is not to be reached");
        }
    });
}

#[test]
fn private_subnets_lie_in_different_zones_and_reach_out_by_fixed_addresses() {
    let template = template();
    let zones: BTreeSet<_> = ["PrivateSubnetA", "PrivateSubnetB"]
        .map(|name| template.resource(name)["Properties"]["AvailabilityZone"].to_string())
        .into();
    assert_eq!(zones.len(), 2, "an outage of one zone leaves the other");
    let addresses = template.resources("AWS::EC2::EIP");
    let output = &template.section("Outputs")["EgressAddresses"];
    assert_eq!(references(&output["Value"]), addresses.keys().copied().collect(), "the addresses are outputs");
    for (name, gateway) in template.resources("AWS::EC2::NatGateway") {
        let address = referenced(&gateway["Properties"]["AllocationId"]);
        assert!(address.is_some_and(|a| addresses.contains_key(a)), "{name} has no fixed address");
    }
    for (name, address) in &addresses {
        assert_eq!(address["DeletionPolicy"], "Retain", "{name} is in other people's allow lists");
    }
}

#[test]
fn nobody_is_let_in_by_address_and_out_to_everywhere_only_encrypted() {
    let template = template();
    let groups = template.resources("AWS::EC2::SecurityGroup");
    assert!(groups.len() >= 4, "the groups were looked at");
    for (name, group) in groups {
        let properties = &group["Properties"];
        for rule in properties["SecurityGroupIngress"].as_array().into_iter().flatten() {
            assert!(!rule["SourceSecurityGroupId"].is_null(), "{name} lets in by address: {rule}");
            assert!(rule["CidrIp"].is_null() && rule["CidrIpv6"].is_null(), "{name} lets in by address: {rule}");
        }
        let out = properties["SecurityGroupEgress"].as_array();
        assert!(out.is_some_and(|rules| !rules.is_empty()), "{name} states no way out, which allows every one");
        for rule in out.into_iter().flatten() {
            assert_eq!(rule["IpProtocol"], "tcp", "{name}");
            assert_eq!(rule["FromPort"], rule["ToPort"], "{name} opens more than one port");
            let to_all = rule["CidrIp"] == EVERYWHERE;
            assert!(!to_all || rule["FromPort"] == 443, "{name} goes everywhere by port {}", rule["FromPort"]);
        }
    }
    for name in ["CacheNodesGroup", "Endpoints"] {
        let out = &template.resource(name)["Properties"]["SecurityGroupEgress"];
        assert_eq!(out.as_array().map(Vec::len), Some(1), "{name} answers and asks nothing");
        assert_eq!(out[0]["CidrIp"], NOWHERE, "{name} answers and asks nothing");
    }
}

#[test]
fn everything_runs_in_private_subnets_and_reaches_what_it_needs() {
    let template = template();
    let private = json!([{"Ref": "PrivateSubnetA"}, {"Ref": "PrivateSubnetB"}]);
    let may = |groups: &Value| -> BTreeSet<String> {
        assert_eq!(groups["Fn::If"][0], "MakesNetwork", "the operator may bring his own groups");
        references(&groups["Fn::If"][1]).into_iter().map(str::to_owned).collect()
    };
    for function in template.functions() {
        let network = &function.properties["VpcConfig"];
        assert_eq!(network["SubnetIds"]["Fn::If"][1], private, "{}", function.name);
        let mut needs = BTreeSet::new();
        let variables = &function.properties["Environment"]["Variables"];
        for (variable, group) in [
            ("DATABASE_URL", "ReachesDatabase"),
            ("REDIS_URL", "ReachesCache"),
            ("WORK_QUEUE_URL", "ReachesInternet"),
            ("DISCORD_TOKEN", "ReachesInternet"),
        ] {
            if !variables[variable].is_null() {
                needs.insert(group.to_owned());
            }
        }
        assert_eq!(may(&network["SecurityGroupIds"]), needs, "{} reaches what it uses", function.name);
    }
    let runner = &template.resource("RunnerService")["Properties"]["NetworkConfiguration"]["AwsvpcConfiguration"];
    assert_eq!(runner["Subnets"]["Fn::If"][1], private);
    assert_eq!(runner["AssignPublicIp"], "DISABLED");
    assert_eq!(
        may(&runner["SecurityGroups"]),
        BTreeSet::from(["ReachesInternet".to_owned()]),
        "shards outlive the database"
    );
}

#[test]
fn what_holds_data_says_what_becomes_of_it() {
    let template = template();
    let mut seen = BTreeSet::new();
    for (name, resource) in template.all_resources() {
        let kind = resource["Type"].as_str().expect("a type");
        if !HOLDS_DATA.contains(&kind) {
            continue;
        }
        seen.insert(kind);
        let policy = &resource["DeletionPolicy"];
        assert!(policy == "Retain" || policy == "Delete", "{name} says what becomes of it when the stack goes");
        assert_eq!(&resource["UpdateReplacePolicy"], policy, "{name} says what becomes of it when it is replaced");
    }
    assert_eq!(seen, HOLDS_DATA.into(), "a kind that is not used any more need not be listed");
    for name in ["CoordinationTable", "ConsoleBucket"] {
        assert_eq!(template.resource(name)["DeletionPolicy"], "Retain", "{name} outlives its stack");
    }
}

#[test]
fn data_is_encrypted_at_rest_and_on_its_way() {
    let template = template();
    for (name, table) in template.resources("AWS::DynamoDB::Table") {
        assert_eq!(table["Properties"]["SSESpecification"]["SSEEnabled"], true, "{name}");
    }
    for (name, cache) in template.resources("AWS::ElastiCache::ReplicationGroup") {
        let cache = &cache["Properties"];
        assert_eq!(cache["AtRestEncryptionEnabled"], true, "{name}");
        assert_eq!(cache["TransitEncryptionEnabled"], true, "{name}");
        assert_eq!(cache["TransitEncryptionMode"], "required", "{name}");
        assert!(!cache["AuthToken"].is_null(), "{name} asks for a password");
    }
    for function in template.functions() {
        walk(&function.properties["Environment"]["Variables"]["REDIS_URL"], &mut |value| {
            if let Some(url) = value.as_str().filter(|text| text.contains("://")) {
                assert!(url.starts_with("rediss://"), "{} talks to the cache in the clear", function.name);
            }
        });
    }
    let policies = template.resources("AWS::S3::BucketPolicy");
    for (name, bucket) in template.resources("AWS::S3::Bucket") {
        let bucket = &bucket["Properties"];
        assert!(bucket["BucketEncryption"].is_object(), "{name} is encrypted");
        let block = bucket["PublicAccessBlockConfiguration"].as_object().expect("public access is blocked");
        assert!(block.len() == 4 && block.values().all(|value| value == true), "{name} is open to the public");
        let policy = policies.values().find(|policy| referenced(&policy["Properties"]["Bucket"]) == Some(name));
        let statements = &policy.expect("a policy")["Properties"]["PolicyDocument"]["Statement"];
        let refuses = statements.as_array().into_iter().flatten().any(|statement| {
            statement["Effect"] == "Deny" && statement["Condition"]["Bool"]["aws:SecureTransport"] == "false"
        });
        assert!(refuses, "{name} answers in the clear");
    }
}

#[test]
fn browsers_talk_to_one_host_and_the_api_never_answers_with_a_page() {
    let template = template();
    let distribution = &template.resource("Distribution")["Properties"]["DistributionConfig"];
    assert!(distribution["CustomErrorResponses"].is_null(), "they would turn the API's 404 into a page");
    let behaviours: Vec<&Value> = distribution["CacheBehaviors"].as_array().into_iter().flatten().collect();
    let api = behaviours.iter().find(|behaviour| behaviour["PathPattern"] == "/api/*").expect("the API's paths");
    assert_eq!(api["TargetOriginId"], "api");
    assert!(api["FunctionAssociations"].is_null(), "nothing rewrites the API's paths");
    assert_eq!(api["CachePolicyId"], "4135ea2d-6df8-44a3-9df3-4b5a84be39ad", "answers for one are not another's");
    let files = &distribution["DefaultCacheBehavior"];
    assert_eq!(references(&files["FunctionAssociations"]), BTreeSet::from(["Navigation"]));
    for behaviour in behaviours.into_iter().chain([files]) {
        let protocol = behaviour["ViewerProtocolPolicy"].as_str();
        assert!(matches!(protocol, Some("https-only" | "redirect-to-https")), "{behaviour} answers in the clear");
        assert_eq!(behaviour["Compress"], true);
        assert_eq!(referenced(&behaviour["ResponseHeadersPolicyId"]), Some("SecurityHeaders"));
    }
    let certificate = &distribution["ViewerCertificate"]["Fn::If"][1];
    assert!(certificate["MinimumProtocolVersion"].as_str().is_some_and(|version| version.starts_with("TLSv1.2")));
    for origin in distribution["Origins"].as_array().into_iter().flatten() {
        let private = !origin["OriginAccessControlId"].is_null();
        let encrypted = origin["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only";
        assert!(private || encrypted, "{} is reached by signature or by TLS", origin["Id"]);
    }
}

#[test]
fn browsers_are_told_to_run_nothing_but_what_is_served() {
    let template = template();
    let headers =
        &template.resource("SecurityHeaders")["Properties"]["ResponseHeadersPolicyConfig"]["SecurityHeadersConfig"];
    let policy = headers["ContentSecurityPolicy"]["ContentSecurityPolicy"].as_str().expect("a policy");
    let directives: Vec<&str> = policy.split(';').map(str::trim).collect();
    for directive in ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"] {
        assert!(directives.contains(&directive), "the policy lacks {directive}: {policy}");
    }
    assert!(!policy.contains("unsafe-eval") && !policy.contains('*'), "{policy}");
    for header in ["ContentTypeOptions", "FrameOptions", "ReferrerPolicy", "StrictTransportSecurity"] {
        assert_eq!(headers[header]["Override"], true, "{header}");
    }
}

#[test]
fn an_operator_may_bring_his_own_network_and_cache() {
    let template = template();
    for (name, resource) in template.all_resources() {
        let kind = resource["Type"].as_str().expect("a type");
        let optional = ["AWS::EC2::", "AWS::ElastiCache::", "AWS::CloudFront::", "AWS::S3::", "AWS::Route53::"];
        if optional.iter().any(|prefix| kind.starts_with(prefix)) {
            assert!(resource["Condition"].is_string(), "{name} ({kind}) is made whether it is wanted or not");
        }
    }
    let parameters = template.section("Parameters");
    for name in ["VpcId", "SubnetIds", "SecurityGroupIds", "CacheSecretArn", "DomainName", "CertificateArn"] {
        assert_eq!(parameters[name]["Default"], "", "{name} may be left out");
    }
}
