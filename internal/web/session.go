package web

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"lethe/internal/account"
	"lethe/internal/matrix"
	"lethe/internal/wire"
)

const (
	cookieName = "lethe_account"
	// sessionLifetime ends a session that nobody signed out of.
	sessionLifetime = time.Hour
	// pageDevice is the device of everybody's session here. It is always the same:
	// whoever signs in again leaves no old session behind.
	pageDevice     = "ACCOUNTPAGE"
	pageDeviceName = "Account page"
)

// cookie is the session of a browser: an access token, so that whatever ends the
// sessions of an account ends this one, too.
func (a *API) cookie(token string, maxAge int) http.Header {
	c := http.Cookie{ //nolint:gosec // without TLS, as on one's own machine, it could not be Secure
		Name: cookieName, Value: token, Path: accountPath, MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: strings.HasPrefix(a.BaseURL, "https:"),
	}
	return http.Header{"Set-Cookie": {c.String()}}
}

var errOtherSite = matrix.Errorf(matrix.CodeForbidden, "This form came from another site. Open the account page yourself.")

// sameOrigin refuses what another site's page makes a browser send. The cookie
// is not sent with that either; this is for the browsers that do not know
// SameSite, and for signing in, which needs no cookie.
func (a *API) sameOrigin(h wire.Handler) wire.Handler {
	protection := http.NewCrossOriginProtection()
	// A reverse proxy may have changed the Host.
	if u, err := url.Parse(a.BaseURL); err == nil {
		_ = protection.AddTrustedOrigin(u.Scheme + "://" + u.Host) // the settings' check has refused what is no URL
	}
	return func(r *wire.Request) (any, error) {
		if err := protection.Check(r.Request); err != nil {
			return nil, errOtherSite.Because(err)
		}
		return h(r)
	}
}

// personal is a handler for who is signed in.
type personal func(*wire.Request, account.Requester) (any, error)

// signedIn makes a handler of one that needs a session; without one it asks for
// the password.
func (a *API) signedIn(h personal) wire.Handler {
	return func(r *wire.Request) (any, error) {
		who, err := a.requester(r)
		switch matrix.CodeOf(err) {
		case "":
		case matrix.CodeMissingToken, matrix.CodeUnknownToken:
			p := a.signInPage("", nil)
			p.Notice = "You are not signed in any more. Please sign in again."
			resp, err := a.form(http.StatusUnauthorized, p)
			return a.forget(resp), err
		case matrix.CodeUserLocked, matrix.CodeGuestAccessForbidden:
			return a.noUse(r, err)
		}
		if err != nil {
			return nil, err
		}
		return h(r, who)
	}
}

// forget takes a session that has ended from the browser.
func (a *API) forget(resp *wire.Response) *wire.Response {
	if resp != nil {
		resp.Header["Set-Cookie"] = a.cookie("", -1)["Set-Cookie"]
	}
	return resp
}

// noUse is the page of who is signed in and may do nothing here but sign out.
func (a *API) noUse(r *wire.Request, err error) (any, error) {
	e := told(r, err)
	p := formPage{
		base: a.base("You cannot use this page"), Text: []string{e.Message, "If you think that this is wrong, ask:"},
		ShowSupport: true, Support: a.Support, policy: policy{account: true},
	}
	p.SignedIn = true
	return a.refused(e, p)
}

// requester tells who is signed in, and that they may use this page: the same as
// may use the endpoints of the client-server API that end and export accounts.
func (a *API) requester(r *wire.Request) (account.Requester, error) {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return account.Requester{}, matrix.Errorf(matrix.CodeMissingToken, "You are not signed in.")
	}
	who, err := a.Accounts.Authenticate(r.Context(), c.Value)
	if err != nil {
		return who, err
	}
	if err := allow(a.Limits.Account, string(who.UserID)); err != nil {
		return who, err
	}
	if who.Guest {
		return who, matrix.Errorf(matrix.CodeGuestAccessForbidden, "Guests have no account to look at or to end.")
	}
	if who.Locked {
		return who, matrix.Errorf(matrix.CodeUserLocked, "This account has been locked.")
	}
	a.Accounts.Seen(who, r.Remote.String(), r.UserAgent())
	return who, nil
}

// signInPage asks for the password, after problems with what was sent before.
func (a *API) signInPage(user string, found []problem) formPage {
	p := formPage{
		base:   a.base("Sign in to your account"),
		Text:   []string{"Here you see what this server holds about you. You can take a copy of it, and end the account."},
		Action: accountPath + "/sign-in",
		Fields: []field{
			{
				Name: "username", Label: "Username", Hint: "As in @username:" + string(a.ServerName) + ".", Type: "text", Value: user,
				Complete: "username", Required: true,
			},
			{Name: "password", Label: "Password", Type: "password", Complete: "current-password", Required: true},
		},
		Buttons: []button{{Text: "Sign in"}},
		NoCheck: true,
		policy:  policy{account: true},
	}
	p.found(found)
	return p
}

// askSignIn is the page that asks for the password.
func (a *API) askSignIn(r *wire.Request) (any, error) {
	if _, err := a.requester(r); err == nil {
		return see(accountPath, nil), nil
	}
	p := a.signInPage("", nil)
	if r.URL.Query().Has("signed-out") {
		p.Notice = "You are signed out."
	}
	return a.form(0, p)
}

// signIn begins a session.
func (a *API) signIn(r *wire.Request) (any, error) {
	form, err := values(r)
	if err != nil {
		return nil, err
	}
	user, password := strings.TrimSpace(form.Get("username")), form.Get("password")
	var missing []problem
	if user == "" {
		missing = append(missing, problem{"username", "Enter your username."})
	}
	if password == "" {
		missing = append(missing, problem{"password", "Enter your password."})
	}
	if missing != nil {
		return a.form(http.StatusBadRequest, a.signInPage(user, missing))
	}
	if err := allow(a.Limits.Login, r.Network()); err != nil {
		return nil, err
	}
	session, err := a.Accounts.LoginPassword(r.Context(), account.Identifier{User: user}, password, account.NewSession{
		DeviceID: pageDevice, DeviceName: pageDeviceName, Lifetime: sessionLifetime,
	})
	if err != nil {
		e := told(r, err)
		p := a.signInPage(user, []problem{{Text: e.Message}})
		if e.Code == matrix.CodeForbidden {
			p.Errors = []problem{{Field: "username", Text: e.Message}}
		}
		return a.refused(e, p)
	}
	return see(accountPath, a.cookie(session.AccessToken, int(sessionLifetime.Seconds()))), nil
}

// signOut ends the session and deletes its device. Also a locked account may
// (CS API, Account locking).
func (a *API) signOut(r *wire.Request) (any, error) {
	if c, err := r.Cookie(cookieName); err == nil {
		who, err := a.Accounts.Authenticate(r.Context(), c.Value)
		if err == nil {
			err = a.Accounts.Logout(r.Context(), who)
		}
		if err != nil && matrix.CodeOf(err) != matrix.CodeUnknownToken {
			return nil, err
		}
	}
	return see(accountPath+"/sign-in?signed-out", a.cookie("", -1)), nil
}
