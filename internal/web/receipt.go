package web

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json"

	"lethe/internal/deactivation"
	"lethe/internal/matrix"
	"lethe/internal/storage"
	"lethe/internal/wire"
)

// receiptPage is a receipt for people: how far the ending is, what is gone, and
// what stays.
type receiptPage struct {
	base
	ID              string
	Self            string // the path of this page
	User            matrix.UserID
	Summary         []string
	ShowSupport     bool
	Support         Support
	Complete, Erase bool
	Ended, Finished *moment
	By              string
	Steps           []step
	Gone            []amount
	Stays           []stay
}

// step is a part of an ending.
type step struct {
	What    string
	Done    bool
	At      *moment
	Trouble string
}

// receipt is the page of an ending, for who has its id.
func (a *API) receipt(r *wire.Request) (any, error) {
	raw, err := a.Deactivations.Receipt(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	var receipt deactivation.Receipt
	if err := json.Unmarshal(raw, &receipt); err != nil {
		return nil, err
	}
	return render("receipt.html", 0, policy{}, a.receiptPage(receipt))
}

func (a *API) receiptPage(r deactivation.Receipt) receiptPage {
	p := receiptPage{
		base: a.base(""), ID: r.ID, Self: accountPath + "/receipt/" + r.ID, User: r.UserID,
		Complete: r.Complete, Erase: r.Erase, Ended: momentOf(r.EndedAt), Finished: momentOf(r.FinishedAt),
		By: actor(r.RequestedBy), Gone: amounts(r.Gone), Stays: staying(r.Stays), Support: a.Support,
	}
	switch r.State {
	case storage.InGrace:
		p.Title = "Your account is closed, and will end"
		p.Summary = a.graceSummary(r)
		p.ShowSupport = true
	case storage.Undone:
		p.Title = "This ending was taken back"
		p.Summary = []string{"The account is there again. What the ending had already deleted stays deleted."}
		p.Complete, p.Stays = true, nil
	case storage.Done:
		p.Title = "Your account has ended"
		p.Summary = []string{"Everything is done. This is your receipt."}
	default:
		p.Title = "Your account has ended"
		p.Summary = []string{
			"Nobody can use it any more. Some of the work is still on its way; this server goes on until it is done, " +
				"and you need not wait for it.",
		}
	}
	for _, s := range r.Steps {
		p.Steps = append(p.Steps, stepOf(s))
	}
	return p
}

// graceSummary says until when and how the ending can be taken back.
func (a *API) graceSummary(r deactivation.Receipt) []string {
	until := momentOf(r.UndoUntil).Human
	how := "If you change your mind, ask the operator of this server before that:"
	isNotify := func(s deactivation.Step) bool { return s.Name == "notify" }
	if slices.ContainsFunc(r.Steps, isNotify) {
		how = "If you change your mind, open the link in the message that was sent to your e-mail address, " +
			"or ask the operator of this server:"
	}
	return []string{
		"Nobody can use it any more. Until " + until + " it can be brought back; then it ends for good, and is deleted.", how,
	}
}

func stepOf(s deactivation.Step) step {
	shown := step{What: inWords(stepNames, s.Name), Done: s.State == "done", At: momentOf(s.DoneAt)}
	if s.Target != "" {
		shown.What += " " + s.Target
	}
	if shown.Done || s.Error == "" {
		return shown
	}
	tries := "once"
	if s.Attempts > 1 {
		tries = fmt.Sprintf("%d times", s.Attempts)
	}
	shown.Trouble = "Tried " + tries + ". What went wrong: " + s.Error + "."
	if next := momentOf(s.NextTry); next != nil {
		shown.Trouble += " Next try: " + next.Human + "."
	}
	return shown
}

// downloadReceipt is the signed receipt as a file.
func (a *API) downloadReceipt(r *wire.Request) (any, error) {
	raw, err := a.Deactivations.Receipt(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return &wire.Response{
		ContentType: "application/json", Body: raw,
		Header: http.Header{
			"Content-Disposition": {`attachment; filename="receipt.json"`}, "Cache-Control": {"no-store"},
			"X-Content-Type-Options": {"nosniff"}, "Referrer-Policy": {"no-referrer"},
		},
	}, nil
}
