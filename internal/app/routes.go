package app

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"lethe/internal/account"
	"lethe/internal/adminapi"
	"lethe/internal/clientapi"
	"lethe/internal/config"
	"lethe/internal/federationapi"
	"lethe/internal/matrix"
	"lethe/internal/ratelimit"
	"lethe/internal/storage"
	"lethe/internal/web"
	"lethe/internal/wire"
)

// clientRouter serves clients, people, operators, and other servers that come
// by way of a reverse proxy.
func (s *Server) clientRouter() *wire.Router {
	rt := s.router()
	clients := s.clientAPI()
	rt.Add(clients.Routes()...)
	rt.Add(s.federationAPI().Routes()...)
	rt.Add(s.adminAPI(false).Routes()...)
	rt.Add(s.webPages(clients.Limits).Routes()...)
	return rt
}

// federationRouter serves other servers on a listener of its own.
func (s *Server) federationRouter() *wire.Router {
	rt := s.router()
	rt.Add(s.federationAPI().Routes()...)
	return rt
}

// operatorRouter serves whoever can open the socket, as the operator.
func (s *Server) operatorRouter() *wire.Router {
	rt := s.router()
	rt.Add(s.adminAPI(true).Routes()...)
	return rt
}

// router is a router that has /health.
func (s *Server) router() *wire.Router {
	var proxies []netip.Prefix
	for _, p := range s.settings.TrustedProxies {
		prefix, err := netip.ParsePrefix(p)
		if err == nil { // Settings.Check has looked
			proxies = append(proxies, prefix)
		}
	}
	rt := wire.NewRouter(wire.Options{Log: s.opts.Log, TrustedProxies: proxies, Observe: s.metrics.Request})
	rt.Add(wire.Route{Method: http.MethodGet, Path: "/health", Handle: s.health})
	return rt
}

// healthWait bounds how long /health waits for the database.
const healthWait = 5 * time.Second

// health is GET /health: 200 when the database answers (DESIGN §9).
func (s *Server) health(r *wire.Request) (any, error) {
	ctx, cancel := context.WithTimeout(r.Context(), healthWait)
	defer cancel()
	err := s.DB.View(ctx, func(tx *storage.Tx) error { _, err := tx.ServerName(); return err })
	if err != nil {
		r.Log.Error("health", "error", err)
		return nil, matrix.Errorf(matrix.CodeUnknown, "The database does not answer.").
			WithStatus(http.StatusServiceUnavailable)
	}
	return map[string]string{"status": "ok"}, nil
}

func (s *Server) clientAPI() *clientapi.API {
	set := &s.settings
	api := &clientapi.API{
		Accounts: s.Accounts, Deactivations: s.Deactivations, Appservices: s.appservices, Rooms: s.Rooms, History: s.History,
		Push: s.Push, Unread: s.unread, Syncing: s.syncing, Presence: s.presence, Limits: s.limits(),
		Options: clientapi.Options{
			ServerName: matrix.ServerName(set.ServerName), QueryToken: set.QueryToken == "on",
			Registration: set.Registration, Guests: set.Guests, RequireEmail: set.RequireEmail,
			SelfDeactivation: set.SelfDeactivation == "on",
			FederationName:   set.FederationName,
			Support:          clientapi.Support{MatrixID: set.SupportMatrixID, Email: set.SupportEmail, Page: set.SupportPage},
		},
	}
	if set.PublicBaseURL != "" {
		api.Options.ClientBaseURL = s.baseURL
	}
	if set.TermsURL != "" {
		api.Options.Terms = []account.Policy{{
			ID: "terms_of_service", Version: set.TermsVersion, Name: set.TermsName, URL: set.TermsURL,
		}}
	}
	return api
}

// limiter limits at a rate, unless rate limits are off.
func (s *Server) limiter(r config.Rate) *ratelimit.Limiter {
	if s.settings.RateLimits == "off" {
		return nil
	}
	return ratelimit.New(r.Burst, r.Per, s.opts.Now)
}

func (s *Server) limits() clientapi.Limits {
	set := &s.settings
	limiter := s.limiter
	return clientapi.Limits{
		Address: limiter(set.RateAddress), Account: limiter(set.RateAccount), Login: limiter(set.RateLogin),
		Register: limiter(set.RateRegister), Mail: limiter(set.RateMail),
		UnknownToken: limiter(set.RateUnknownToken), Deactivate: limiter(set.RateDeactivate),
		Invite: limiter(set.RateInvite), Join: limiter(set.RateJoin),
	}
}

func (s *Server) federationAPI() *federationapi.API {
	return &federationapi.API{
		Accounts: s.Accounts, ServerName: matrix.ServerName(s.settings.ServerName), Key: s.key, Now: s.opts.Now,
		Version: s.opts.Version,
	}
}

func (s *Server) adminAPI(isTrusted bool) *adminapi.API {
	api := &adminapi.API{
		Accounts: s.Accounts, Appservices: s.appservices, Deactivations: s.Deactivations, Jobs: s.Jobs, Rooms: s.Rooms,
		ServerName: matrix.ServerName(s.settings.ServerName), Now: s.opts.Now, Trusted: isTrusted,
	}
	if !isTrusted {
		api.SharedSecret = string(s.settings.RegistrationSharedSecret)
	}
	return api
}

// webPages shares its limits with the client-server API: a browser is no second
// way to try.
func (s *Server) webPages(limits clientapi.Limits) *web.API {
	set := &s.settings
	return &web.API{
		Accounts: s.Accounts, Deactivations: s.Deactivations, ServerName: matrix.ServerName(set.ServerName),
		BaseURL: s.baseURL, SelfDeactivation: set.SelfDeactivation == "on", Grace: set.DeactivationGrace.D(),
		Support: web.Support{MatrixID: set.SupportMatrixID, Email: set.SupportEmail, Page: set.SupportPage},
		Limits: web.Limits{
			Address: limits.Address, Account: limits.Account, Login: limits.Login, Mail: limits.Mail,
			Deactivate: limits.Deactivate,
		},
	}
}
