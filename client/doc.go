// Package client is a small client for the life of a Matrix account, against
// any homeserver: find the server, register, log in, refresh, take a copy of
// everything, and end the account.
//
//	c := &client.Client{BaseURL: "https://matrix.example.org"}
//	session, err := c.Login(ctx, client.PasswordLogin(client.User("alice"), password))
//	if err != nil {
//		return err
//	}
//	c = c.WithToken(session.AccessToken)
//	unbound, err := c.DeactivateAccount(ctx, client.PasswordAuth("alice", password), true, "")
//
// Every method takes a context and gives up after [AnswerTime] where the context
// has no deadline of its own. What a homeserver refuses is an [*Error] in the
// error's chain, with the errcode, the time to wait, and what authentication the
// server asks for:
//
//	if e, ok := errors.AsType[*client.Error](err); ok && e.Code == client.CodeLimitExceeded {
//		wait(e.RetryAfter)
//	}
//
// Sections named in this package are those of the Matrix client-server API,
// v1.19.
//
// Holds: [Client], [Auth], [Error].
//
// May import: the standard library and JSON; nothing of this program, so that
// other programs can import it.
//
// Never: state that clients share; a token or a password to another host than
// the caller named; an answer read without a limit.
package client
