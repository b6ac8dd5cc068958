package web

import (
	"io"
	"net/http"

	"lethe/internal/account"
	"lethe/internal/deactivation"
	"lethe/internal/matrix"
	"lethe/internal/wire"
)

// accountPage is what the account page shows to who is signed in.
type accountPage struct {
	base
	User      matrix.UserID
	Created   *moment
	Suspended bool
	Devices   []device
	// Goes is deleted with the account; Erased with erasure only.
	Goes, Erased []amount
	Unbinds      []amount
	Stays        []stay
	MayEnd       bool
	Support      Support
}

// device is one of a person's devices; Here is the one of this page.
type device struct {
	Name string
	Seen *moment
	Here bool
}

// overview is the account page.
func (a *API) overview(r *wire.Request) (any, error) {
	if _, err := r.Cookie(cookieName); err != nil {
		return a.askSignIn(r)
	}
	return a.signedIn(a.showAccount)(r)
}

func (a *API) showAccount(r *wire.Request, who account.Requester) (any, error) {
	me, err := a.Accounts.Account(r.Context(), who.UserID)
	if err != nil {
		return nil, err
	}
	plain, err := a.preview(r, who, false)
	if err != nil {
		return nil, err
	}
	erased, err := a.preview(r, who, true)
	if err != nil {
		return nil, err
	}
	devices, err := a.Accounts.Devices(r.Context(), who.UserID)
	if err != nil {
		return nil, err
	}
	p := accountPage{
		base: a.base("Your account"), User: who.UserID, Created: momentOf(me.CreatedAt), Suspended: who.Suspended,
		Goes: amounts(plain.Goes), Unbinds: unbinds(plain.Unbinds), Stays: staying(erased.Stays),
		MayEnd: a.SelfDeactivation, Support: a.Support,
	}
	p.SignedIn = true
	for category := range plain.Goes {
		delete(erased.Goes, category)
	}
	p.Erased = amounts(erased.Goes)
	for _, d := range devices {
		shown := device{Name: d.DisplayName, Seen: momentOf(d.LastSeenAt), Here: d.DeviceID == who.DeviceID}
		if shown.Name == "" {
			shown.Name = d.DeviceID
		}
		p.Devices = append(p.Devices, shown)
	}
	return render("account.html", 0, policy{account: true}, p)
}

func (a *API) preview(r *wire.Request, who account.Requester, erase bool) (deactivation.Preview, error) {
	return a.Deactivations.Preview(r.Context(), deactivation.Request{User: who.UserID, Erase: erase, By: deactivation.Self})
}

// export is the copy that a person takes with them.
func (a *API) export(r *wire.Request, who account.Requester) (any, error) {
	return &wire.Response{
		ContentType: "application/zip",
		Header: http.Header{
			"Content-Disposition": {`attachment; filename="account.zip"`}, "Cache-Control": {"no-store"},
			"X-Content-Type-Options": {"nosniff"}, "Referrer-Policy": {"no-referrer"},
		},
		Stream: func(w io.Writer) error { return a.Deactivations.Export(r.Context(), who.UserID, w) },
	}, nil
}
