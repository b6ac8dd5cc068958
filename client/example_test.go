package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"lethe/client"
)

// The life of an account, from its registration to its end.
func Example() {
	ctx := context.Background()
	c := &client.Client{BaseURL: homeserver} // as "https://matrix.example.org"

	session, err := c.Register(ctx, client.RegisterRequest{
		Username: "nora", Password: "correct-horse", DeviceName: "my script",
	}, client.DummyAuth())
	if err != nil {
		fmt.Println("register:", err)
		return
	}
	c = c.WithToken(session.AccessToken)
	me, err := c.Whoami(ctx)
	if err != nil {
		fmt.Println("whoami:", err)
		return
	}
	fmt.Println("I am", me.UserID)

	_, err = c.DeactivateAccount(ctx, client.PasswordAuth(me.UserID, "correct-horse"), true, "")
	if err != nil {
		fmt.Println("deactivate:", err)
		return
	}
	_, err = c.Login(ctx, client.PasswordLogin(client.User(me.UserID), "correct-horse"))
	fmt.Println("Logging in again is", client.CodeOf(err))
	// Output:
	// I am @nora:example.org
	// Logging in again is M_USER_DEACTIVATED
}

func ExampleClient_DeactivateAccount() {
	ctx := context.Background()
	c := &client.Client{BaseURL: homeserver, Token: register("olga", "correct-horse")}

	unbound, err := c.DeactivateAccount(ctx, client.PasswordAuth("olga", "correct-horse"), true, "")
	if err != nil {
		fmt.Println("The account has not ended:", err)
		return
	}
	if unbound != client.UnbindSuccess {
		fmt.Println("Some address may still be found at an identity server.")
	}
	fmt.Println("The account has ended:", unbound)
	// Output:
	// The account has ended: success
}

// Without a token, the authentication says which account it is.
func ExampleClient_DeactivateAccount_withoutToken() {
	register("paul", "correct-horse")
	c := &client.Client{BaseURL: homeserver}

	_, err := c.DeactivateAccount(context.Background(), client.PasswordAuth("paul", "wrong"), true, "")
	e, ok := errors.AsType[*client.Error](err)
	if ok && e.Code == client.CodeForbidden && e.UIA != nil {
		fmt.Println("The password is wrong; the server would take another one.")
	}
	unbound, err := c.DeactivateAccount(context.Background(), client.PasswordAuth("paul", "correct-horse"), true, "")
	fmt.Println(unbound, err)
	// Output:
	// The password is wrong; the server would take another one.
	// success <nil>
}

// Lethe gives a copy of everything before the end, and a receipt after it.
func ExampleClient_Deactivate() {
	ctx := context.Background()
	c := &client.Client{BaseURL: homeserver, Token: register("rita", "correct-horse")}

	var archive bytes.Buffer // or a file
	if err := c.Export(ctx, &archive); err != nil {
		fmt.Println("export:", err)
		return
	}
	ended, err := c.Deactivate(ctx, client.PasswordAuth("rita", "correct-horse"), client.DeactivateRequest{Erase: new(true)})
	if err != nil {
		fmt.Println("deactivate:", err)
		return
	}
	receipt, err := c.Receipt(ctx, ended.ID)
	if err != nil {
		fmt.Println("receipt:", err)
		return
	}
	fmt.Println("The receipt is for", receipt.UserID, "and counts", receipt.Gone["password"], "password.")
	// Output:
	// The receipt is for @rita:example.org and counts 1 password.
}

// A stage that needs a person: this one asks for the password until it is right.
func ExampleStageFunc() {
	register("sven", "correct-horse")
	typed := []string{"correct-hose", "correct-horse"}
	ask := func(context.Context, *client.UIAChallenge, *client.Error) (map[string]any, error) {
		password := typed[0]
		typed = typed[1:]
		return map[string]any{"identifier": client.User("sven"), "password": password}, nil
	}
	c := &client.Client{BaseURL: homeserver}
	unbound, err := c.DeactivateAccount(context.Background(), client.Auth{client.StagePassword: ask}, false, "")
	fmt.Println(unbound, err)
	// Output:
	// success <nil>
}

// register makes an account for an example and returns its access token.
func register(name, password string) string {
	c := &client.Client{BaseURL: homeserver}
	session, err := c.Register(context.Background(), client.RegisterRequest{Username: name, Password: password}, client.DummyAuth())
	if err != nil {
		panic(err)
	}
	return session.AccessToken
}
