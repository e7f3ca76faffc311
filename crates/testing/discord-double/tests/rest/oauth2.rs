//! Authorization: the page, codes with PKCE, tokens and their scopes.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use guildhall_discord_double::Config;
use guildhall_discord_double::world::Permissions;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;
use url::form_urlencoded::Serializer;

use crate::harness::{Got, Harness};

const REDIRECT: &str = "http://127.0.0.1:9/callback";
const VERIFIER: &str = "a-verifier-that-is-long-enough-to-be-one-of-rfc-7636";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

impl Harness {
    /// The address of the page for these scopes.
    fn page(scope: &str) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let query = Serializer::new(String::new())
            .append_pair("client_id", &Config::default().application_id.to_string())
            .append_pair("response_type", "code")
            .append_pair("redirect_uri", REDIRECT)
            .append_pair("scope", scope)
            .append_pair("state", "a state & more")
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .finish();
        format!("/oauth2/authorize?{query}")
    }

    /// Decides on the page; where that leads.
    async fn decide(&self, scope: &str, decision: &str) -> Vec<(String, String)> {
        let form = format!("user_id={}&decision={decision}", self.owner());
        let got = self.raw("POST", &Self::page(scope), &[FORM], form.into_bytes()).await;
        assert_eq!(got.status, 303, "{got:?}");
        let target = Url::parse(got.header("location")).expect("an address");
        assert!(target.as_str().starts_with(REDIRECT));
        target.query_pairs().into_owned().collect()
    }

    async fn code(&self, scope: &str) -> String {
        let pairs = self.decide(scope, "approve").await;
        pairs.into_iter().find(|(key, _)| key == "code").expect("a code").1
    }

    async fn token(&self, fields: &[(&str, &str)], path: &str) -> Got {
        let config = Config::default();
        let basic = STANDARD.encode(format!("{}:{}", config.application_id, config.client_secret));
        let form = Serializer::new(String::new()).extend_pairs(fields).finish();
        let headers = [FORM, ("authorization", &format!("Basic {basic}"))];
        self.raw("POST", path, &headers, form.into_bytes()).await
    }

    async fn exchange(&self, code: &str, verifier: &str) -> Got {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", verifier),
        ];
        self.token(&fields, "/api/oauth2/token").await
    }

    /// An `Authorization` of the owner with these scopes.
    pub(crate) async fn bearer(&self, scope: &str) -> String {
        let tokens = self.exchange(&self.code(scope).await, VERIFIER).await;
        format!("Bearer {}", tokens.body["access_token"].as_str().expect("a token"))
    }
}

fn text(body: &Value, key: &str) -> String {
    body[key].as_str().expect("text").to_owned()
}

#[tokio::test]
async fn the_page_offers_people_and_leads_back() {
    let double = Harness::start().await;
    let page = double.raw("GET", &Harness::page("identify guilds"), &[], Vec::new()).await;
    let html = page.body.as_str().expect("a page");
    assert!(page.status == 200 && html.contains("<li>guilds</li>") && html.contains(&double.owner().to_string()));

    let approved = double.decide("identify", "approve").await;
    assert_eq!(approved[1], ("state".to_owned(), "a state & more".to_owned()));
    let refused = double.decide("identify", "cancel").await;
    assert_eq!(refused[0], ("error".to_owned(), "access_denied".to_owned()));

    for bad in ["client_id=1&response_type=code&scope=identify", "scope=identify"] {
        let refused = double.raw("GET", &format!("/oauth2/authorize?{bad}"), &[], Vec::new()).await;
        assert_eq!(refused.status, 400, "{bad}");
    }
    assert_eq!(double.raw("GET", &Harness::page("identify nonsense"), &[], Vec::new()).await.status, 400);
}

#[tokio::test]
async fn a_code_is_good_once_in_time_and_for_its_verifier() {
    let double = Harness::start().await;
    let code = double.code("identify").await;
    assert_eq!(double.exchange(&code, "another verifier").await.body["error"], "invalid_grant");
    assert_eq!(double.exchange(&code, VERIFIER).await.status, 400, "the attempt spent it");

    let late = double.code("identify").await;
    double.hand.forward(600_000);
    assert_eq!(double.exchange(&late, VERIFIER).await.body["error"], "invalid_grant");

    let code = double.code("identify guilds").await;
    let tokens = double.exchange(&code, VERIFIER).await;
    assert_eq!((tokens.status, &tokens.body["token_type"]), (200, &json!("Bearer")));
    assert_eq!((&tokens.body["scope"], &tokens.body["expires_in"]), (&json!("identify guilds"), &json!(604_800)));
    assert_eq!(double.exchange(&code, VERIFIER).await.status, 400);

    let stranger = [("grant_type", "authorization_code"), ("client_id", "1"), ("client_secret", "x")];
    let form = Serializer::new(String::new()).extend_pairs(stranger).finish();
    let refused = double.raw("POST", "/api/oauth2/token", &[FORM], form.into_bytes()).await;
    assert_eq!((refused.status, &refused.body["error"]), (401, &json!("invalid_client")));
}

#[tokio::test]
async fn tokens_expire_rotate_and_can_be_revoked() {
    let double = Harness::start().await;
    let first = double.exchange(&double.code("identify").await, VERIFIER).await.body;
    let who = async |tokens: &Value| {
        double.as_whom(&format!("Bearer {}", text(tokens, "access_token")), "GET", "/users/@me", None).await.status
    };
    assert_eq!(who(&first).await, 200);
    double.hand.forward(604_800_000);
    assert_eq!(who(&first).await, 401, "expired");

    let refresh = text(&first, "refresh_token");
    let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    let second = double.token(&fields, "/api/v10/oauth2/token").await.body;
    assert_eq!(who(&second).await, 200);
    assert_ne!(text(&second, "refresh_token"), refresh);
    assert_eq!(double.token(&fields, "/api/oauth2/token").await.status, 400, "a refresh token is good once");

    let revoked = double.token(&[("token", &text(&second, "refresh_token"))], "/api/oauth2/token/revoke").await;
    assert_eq!((revoked.status, who(&second).await), (200, 401));
}

#[tokio::test]
async fn scopes_open_their_endpoints_and_no_others() {
    let double = Harness::start().await;
    let member = format!("/users/@me/guilds/{}/member", double.guild);
    let guild = format!("/guilds/{}", double.guild);
    for (scope, open, closed) in [
        ("identify", vec!["/users/@me", "/oauth2/@me"], vec!["/users/@me/guilds", &member, &guild]),
        ("guilds", vec!["/users/@me/guilds", "/oauth2/@me"], vec!["/users/@me", &member]),
        ("guilds.members.read", vec![member.as_str()], vec!["/users/@me", "/users/@me/guilds"]),
    ] {
        let bearer = double.bearer(scope).await;
        for path in open {
            assert_eq!(double.as_whom(&bearer, "GET", path, None).await.status, 200, "{scope}: {path}");
        }
        for path in closed {
            assert_eq!(double.as_whom(&bearer, "GET", path, None).await.status, 401, "{scope}: {path}");
        }
    }
    let bearer = double.bearer("guilds").await;
    let guilds = double.as_whom(&bearer, "GET", "/users/@me/guilds?with_counts=true", None).await.body;
    assert_eq!((&guilds[0]["owner"], &guilds[0]["permissions"]), (&json!(true), &json!(Permissions::ALL)));
    assert_eq!(guilds.as_array().map(Vec::len), Some(1), "only the guilds one belongs to");
}
