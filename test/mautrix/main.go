// Mautrix does in rooms what people do, with mautrix-go, up to the end of one of
// them and what a newcomer reads then. The end-to-end tests run it.
//
// Arguments: the URL of the server, and the beginning of the names of the
// accounts to make.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

const password = "a password for mautrix"

// patience is how long anything may take.
const patience = 20 * time.Second

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "mautrix: it wants a URL and a name")
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := run(ctx, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "mautrix:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url, name string) error {
	alice, err := register(ctx, url, name+"-alice")
	if err != nil {
		return err
	}
	bob, err := register(ctx, url, name+"-bob")
	if err != nil {
		return err
	}
	room, first, err := talk(ctx, alice, bob)
	if err != nil {
		return err
	}
	if err := pages(ctx, bob, room); err != nil {
		return err
	}
	if err := end(ctx, alice); err != nil {
		return err
	}
	carol, err := register(ctx, url, name+"-carol")
	if err != nil {
		return err
	}
	return newcomer(ctx, alice, bob, carol, room, first)
}

// person is an account with a client that syncs, and what has come.
type person struct {
	*mautrix.Client
	events chan *event.Event
}

func register(ctx context.Context, url, name string) (*person, error) {
	client, err := mautrix.NewClient(url, "", "")
	if err != nil {
		return nil, err
	}
	resp, err := client.RegisterDummy(ctx, &mautrix.ReqRegister[any]{Username: name, Password: password})
	if err != nil {
		return nil, fmt.Errorf("register %s: %w", name, err)
	}
	client.UserID, client.DeviceID, client.AccessToken = resp.UserID, resp.DeviceID, resp.AccessToken
	p := &person{client, make(chan *event.Event, 10_000)}
	syncer := mautrix.NewDefaultSyncer()
	syncer.OnEvent(func(_ context.Context, e *event.Event) { p.events <- e })
	client.Syncer = syncer
	go func() { _ = client.SyncWithContext(ctx) }() // it ends with the context, or the account
	return p, nil
}

// await waits until an event comes that is as wanted.
func (p *person) await(what string, wanted func(*event.Event) bool) error {
	timeout := time.After(patience)
	for {
		select {
		case e := <-p.events:
			if wanted(e) {
				return nil
			}
		case <-timeout:
			return fmt.Errorf("it did not happen: %s", what)
		}
	}
}

func ofID(want id.EventID) func(*event.Event) bool {
	return func(e *event.Event) bool { return e.ID == want }
}

// talk makes a room, and everything in it that a conversation has.
func talk(ctx context.Context, alice, bob *person) (id.RoomID, id.EventID, error) {
	made, err := alice.CreateRoom(ctx, &mautrix.ReqCreateRoom{
		Name: "The ferry", Topic: "Who pays the ferryman", Preset: "private_chat", Invite: []id.UserID{bob.UserID},
	})
	if err != nil {
		return "", "", err
	}
	room := made.RoomID
	err = bob.await("the invite", func(e *event.Event) bool {
		return e.RoomID == room && e.Type == event.StateMember && e.GetStateKey() == string(bob.UserID)
	})
	if err != nil {
		return "", "", err
	}
	if _, err := bob.JoinRoomByID(ctx, room); err != nil {
		return "", "", err
	}
	first, err := alice.SendText(ctx, room, "the obol is under the tongue")
	if err != nil {
		return "", "", err
	}
	if err := bob.await("the first message", ofID(first.EventID)); err != nil {
		return "", "", err
	}
	return room, first.EventID, answers(ctx, alice, bob, room, first.EventID)
}

// answers edits, reacts, and replies in a thread.
func answers(ctx context.Context, alice, bob *person, room id.RoomID, first id.EventID) error {
	edit := &event.MessageEventContent{MsgType: event.MsgText, Body: "the coin is under the tongue"}
	edit.SetEdit(first)
	edited, err := alice.SendMessageEvent(ctx, room, event.EventMessage, edit)
	if err != nil {
		return err
	}
	if err := bob.await("the edit", ofID(edited.EventID)); err != nil {
		return err
	}
	if _, err := bob.SendReaction(ctx, room, first, "🪙"); err != nil {
		return err
	}
	reply := &event.MessageEventContent{
		MsgType: event.MsgText, Body: "and the fare is due",
		RelatesTo: &event.RelatesTo{Type: event.RelThread, EventID: first},
	}
	sent, err := bob.SendMessageEvent(ctx, room, event.EventMessage, reply)
	if err != nil {
		return err
	}
	if err := alice.await("the reply", ofID(sent.EventID)); err != nil {
		return err
	}
	if err := bob.MarkRead(ctx, room, first); err != nil {
		return err
	}
	return alice.await("the receipt", func(e *event.Event) bool { return e.Type == event.EphemeralEventReceipt })
}

// pages reads the room back to its beginning.
func pages(ctx context.Context, p *person, room id.RoomID) error {
	const waves = 25
	for i := range waves {
		if _, err := p.SendText(ctx, room, fmt.Sprintf("wave %d", i)); err != nil {
			return err
		}
	}
	var last *event.Event
	seen := map[id.EventID]bool{}
	for from := ""; ; {
		page, err := p.Messages(ctx, room, from, "", mautrix.DirectionBackward, nil, 10)
		if err != nil {
			return err
		}
		for _, e := range page.Chunk {
			if seen[e.ID] {
				return fmt.Errorf("%s came twice", e.ID)
			}
			seen[e.ID], last = true, e
		}
		if from = page.End; from == "" {
			break
		}
	}
	if last == nil || last.Type != event.StateCreate || len(seen) < waves+6 {
		return fmt.Errorf("of the room %d events came, and the first is %v", len(seen), last)
	}
	return nil
}

// end ends an account with erasure: asked without a stage, and then with the
// password, in the session that the server has begun.
func end(ctx context.Context, p *person) error {
	url := p.BuildClientURL("v3", "account", "deactivate")
	body := map[string]any{"erase": true}
	answer, err := p.MakeRequest(ctx, http.MethodPost, url, body, nil)
	var failure mautrix.HTTPError
	if !errors.As(err, &failure) || !failure.IsStatus(http.StatusUnauthorized) {
		return fmt.Errorf("the server did not ask who it is: %w", err)
	}
	var asked struct {
		Session string `json:"session"`
	}
	if err := json.Unmarshal(answer, &asked); err != nil || asked.Session == "" {
		return fmt.Errorf("the 401 has no session: %s", answer)
	}
	body["auth"] = map[string]any{
		"type": "m.login.password", "session": asked.Session, "password": password, "user": string(p.UserID),
	}
	var result struct {
		Unbind string `json:"id_server_unbind_result"`
	}
	if _, err := p.MakeRequest(ctx, http.MethodPost, url, body, &result); err != nil {
		return err
	}
	if result.Unbind != "success" {
		return fmt.Errorf("id_server_unbind_result is %q", result.Unbind)
	}
	_, err = p.Whoami(ctx)
	if !errors.Is(err, mautrix.MUnknownToken) {
		return fmt.Errorf("the token of the account that ended: %w", err)
	}
	return nil
}

// newcomer checks what is left for who was there, and for who comes.
func newcomer(ctx context.Context, alice, bob, carol *person, room id.RoomID, first id.EventID) error {
	err := bob.await("alice leaves", func(e *event.Event) bool {
		return e.Type == event.StateMember && e.GetStateKey() == string(alice.UserID) &&
			e.Content.Raw["membership"] == "leave"
	})
	if err != nil {
		return err
	}
	kept, err := bob.GetEvent(ctx, room, first)
	if err != nil {
		return err
	}
	if body, _ := kept.Content.Raw["body"].(string); !strings.Contains(body, "tongue") {
		return fmt.Errorf("who was there reads %v", kept.Content.Raw)
	}
	if _, err := bob.InviteUser(ctx, room, &mautrix.ReqInviteUser{UserID: carol.UserID}); err != nil {
		return err
	}
	if _, err := carol.JoinRoomByID(ctx, room); err != nil {
		return err
	}
	page, err := carol.Messages(ctx, room, "", "", mautrix.DirectionBackward, nil, 100)
	if err != nil {
		return err
	}
	texts := 0
	for _, e := range page.Chunk {
		if strings.Contains(string(e.Content.VeryRaw), "tongue") {
			return fmt.Errorf("a newcomer reads %s", e.Content.VeryRaw)
		}
		if e.Type == event.EventMessage && e.Content.Raw["body"] != nil {
			texts++
		}
	}
	if texts < 26 { // the reply and the waves
		return fmt.Errorf("a newcomer reads %d messages of the others", texts)
	}
	return nil
}
