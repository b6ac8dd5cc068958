package config

// Settings is every setting of the server. The tags give the name (as flag, in
// capitals behind LETHE_ as variable, and in the file), the default and the
// explanation. Precedence: flag, variable, file, default.
type Settings struct {
	ServerName    string `name:"server-name" default:"localhost" help:"The name of this server, as in user ids. It cannot be changed later."`
	Listen        string `name:"listen" default:"127.0.0.1:8008" help:"Address for clients, without TLS."`
	PublicBaseURL string `name:"public-base-url" help:"URL under which clients reach this server, for links in mail and /.well-known. Default: http:// and the listen address."`
	DataDir       string `name:"data-dir" default:"./lethe-data" help:"Folder for the database and the socket of the command line."`
	Database      Secret `name:"database" help:"sqlite:PATH or postgres://user:password@host/name. Default: sqlite:lethe.db in the data folder."`

	FederationListen string   `name:"federation-listen" help:"Address for other servers, with TLS; needs tls-cert and tls-key."`
	TLSCert          string   `name:"tls-cert" help:"File with the certificate chain for federation-listen, PEM."`
	TLSKey           string   `name:"tls-key" help:"File with the key of tls-cert, PEM."`
	FederationName   string   `name:"federation-name" help:"host:port where other servers reach this one, for /.well-known/matrix/server."`
	MetricsListen    string   `name:"metrics-listen" help:"Address for Prometheus metrics at /metrics. Default: none."`
	TrustedProxies   []string `name:"trusted-proxy" help:"Network of proxies whose X-Forwarded-For is believed, as 10.0.0.0/8; repeatable."`

	Registration                 string   `name:"registration" enum:"open,token,closed" default:"closed" help:"Who may register: open, token (with a registration token) or closed."`
	RegistrationSharedSecret     Secret   `name:"registration-shared-secret" help:"Secret for registration by tools at /_synapse/admin/v1/register. Default: off."`
	RegistrationSharedSecretFile string   `name:"registration-shared-secret-file" help:"File with registration-shared-secret."`
	RequireEmail                 bool     `name:"require-email" help:"Registration needs a validated e-mail address."`
	Guests                       bool     `name:"guests" help:"Take guests."`
	TermsURL                     string   `name:"terms-url" help:"Terms to accept at registration. Default: none."`
	TermsName                    string   `name:"terms-name" default:"Terms of service" help:"What the terms are called."`
	TermsVersion                 string   `name:"terms-version" default:"1" help:"Version of the terms."`
	Appservices                  []string `name:"appservice" help:"File with the registration of an application service; repeatable."`

	SelfDeactivation     string   `name:"self-deactivation" enum:"on,off" default:"on" help:"People may end their own accounts."`
	DeactivationGrace    Duration `name:"deactivation-grace" default:"0s" help:"How long an ending can be taken back, as 7d. 0s: not at all."`
	DeactivationWait     Duration `name:"deactivation-unbind-wait" default:"5s" help:"How long the answer to a deactivation waits for identity servers."`
	DeactivatedLogin     string   `name:"deactivated-login" enum:"tell,hide" default:"tell" help:"A login to an ended account is told so (M_USER_DEACTIVATED), or gets M_FORBIDDEN as a wrong password does."`
	ErasureReaders       string   `name:"erasure-readers" enum:"spec,at_event" default:"spec" help:"Which local users still read what the erased have sent: those who could before the erasure (spec), or of them those alone who were in the room when it was sent (at_event)."`
	ErasureServers       string   `name:"erasure-servers" enum:"all,joined_later" default:"all" help:"Which servers get what the erased have sent in its redacted form: all, or those alone that were not in the room when it was sent (joined_later)."`
	Presence             string   `name:"presence" enum:"on,off" default:"on" help:"People see of those with whom they share a room whether they are there."`
	NoticesUser          string   `name:"notices-user" default:"notices" help:"Localpart of the user who sends the notices of the server."`
	QueryToken           string   `name:"query-token" enum:"on,off" default:"on" help:"Take access tokens from the query of a request, too (deprecated, still used)."`
	AccessTokenLifetime  Duration `name:"access-token-lifetime" default:"1h" help:"Lifetime of access tokens that can be refreshed."`
	RefreshTokenLifetime Duration `name:"refresh-token-lifetime" default:"0s" help:"Lifetime of unused refresh tokens. 0s: for ever."`
	LoginTokenLifetime   Duration `name:"login-token-lifetime" default:"2m" help:"Lifetime of tokens for m.login.token."`
	OpenIDTokenLifetime  Duration `name:"openid-token-lifetime" default:"1h" help:"Lifetime of OpenID tokens."`
	UIASessionLifetime   Duration `name:"uia-session-lifetime" default:"1h" help:"Lifetime of sessions of user-interactive authentication."`
	ValidationLifetime   Duration `name:"validation-lifetime" default:"24h" help:"Lifetime of links that validate an address."`
	AddressLog           Duration `name:"address-log" default:"28d" help:"How long is kept from which addresses an account was used."`

	PasswordMinLength int    `name:"password-min-length" default:"8" help:"Characters that a password has at least."`
	PasswordMaxLength int    `name:"password-max-length" default:"512" help:"Bytes that a password has at most."`
	Argon2Memory      uint32 `name:"argon2-memory" default:"19456" help:"Memory of a password hash, in KiB."`
	Argon2Time        uint32 `name:"argon2-time" default:"2" help:"Rounds of a password hash."`
	Argon2Threads     uint8  `name:"argon2-threads" default:"1" help:"Threads of a password hash."`
	HashConcurrency   int    `name:"hash-concurrency" default:"0" help:"Passwords that are hashed at once. 0: one for each core."`

	RateLimits       string `name:"rate-limits" enum:"on,off" default:"on" help:"Switch for all rate limits."`
	RateAddress      Rate   `name:"rate-address" default:"200/10s" help:"Requests without a token, for each address."`
	RateAccount      Rate   `name:"rate-account" default:"1000/10s" help:"Requests with a token, for each account."`
	RateLogin        Rate   `name:"rate-login" default:"30/1m" help:"Logins, for each address."`
	RateLoginFailed  Rate   `name:"rate-login-failed" default:"10/10m" help:"Wrong passwords, for each account they are for."`
	RateRegister     Rate   `name:"rate-register" default:"20/10m" help:"Requests to register, for each address."`
	RateMail         Rate   `name:"rate-mail" default:"10/10m" help:"Validation messages, for each address that asks."`
	RateUnknownToken Rate   `name:"rate-unknown-token" default:"20/10s" help:"Requests with a dead access token, for each address."`
	RateDeactivate   Rate   `name:"rate-deactivate" default:"30/10m" help:"Requests to deactivate, for each account or address."`
	RateInvite       Rate   `name:"rate-invite" default:"200/10m" help:"People invited to rooms, for each account that invites."`
	RateJoin         Rate   `name:"rate-join" default:"200/10m" help:"Joins and knocks, for each account."`

	SMTPHost         string `name:"smtp-host" help:"Mail server. Default: none, and no mail is sent."`
	SMTPPort         int    `name:"smtp-port" default:"587" help:"Port of the mail server."`
	SMTPUser         string `name:"smtp-user" help:"User at the mail server. Default: none."`
	SMTPPassword     Secret `name:"smtp-password" help:"Password of smtp-user."`
	SMTPPasswordFile string `name:"smtp-password-file" help:"File with smtp-password."`
	SMTPSecurity     string `name:"smtp-security" enum:"starttls,tls,none" default:"starttls" help:"Protection of the connection to the mail server."`
	SMTPFrom         string `name:"smtp-from" help:"Sender's address of mail."`
	SMSGateway       string `name:"sms-gateway" help:"URL that takes text messages, as POST {\"to\": …, \"text\": …}. Default: none, and phone numbers cannot be validated."`

	AllowPrivateNetworks bool   `name:"allow-private-networks" help:"Let requests to other hosts go to private and loopback addresses."`
	TrustedCA            string `name:"trusted-ca" help:"File with certificates, PEM, that are trusted beside the system's."`

	SupportEmail    string `name:"support-email" help:"Contact for /.well-known/matrix/support."`
	SupportMatrixID string `name:"support-matrix-id" help:"Contact for /.well-known/matrix/support."`
	SupportPage     string `name:"support-page" help:"Page for /.well-known/matrix/support."`

	LogLevel  string `name:"log-level" enum:"debug,info,warn,error" default:"info" help:"What is logged."`
	LogFormat string `name:"log-format" enum:"text,json" default:"text" help:"How it is written."`
}
