package account

import (
	"context"
	"net/http"

	"lethe/internal/matrix"
	"lethe/internal/storage"
)

// stage checks the stage that this round is about. An error that is a
// [matrix.Error] without a status of its own fails the stage; the session stays.
func (s *Service) stage(ctx context.Context, r *round) (stageResult, error) {
	switch r.auth.Type {
	case StagePassword:
		return s.passwordStage(ctx, r)
	case StageRegistrationToken:
		// They are short enough to be guessed. Sessions are limited by the API.
		err := s.limitWrong("session "+r.id, func() error { return s.CheckRegistrationToken(ctx, r.auth.Token) })
		return stageResult{Token: r.auth.Token}, err
	case StageEmail:
		return s.threepidStage(ctx, r, matrix.MediumEmail)
	case StageMSISDN:
		return s.threepidStage(ctx, r, matrix.MediumMSISDN)
	case StageTerms:
		// To send the stage is to accept (CS API, Terms of service at registration).
		return stageResult{Terms: r.Terms}, nil
	case StageDummy:
		return stageResult{}, nil
	}
	return stageResult{}, matrix.Errorf(matrix.CodeUnrecognized, "This server does not know stages of that type.")
}

// passwordStage proves who the requester is (CS API, Password-based). With an
// access token it has to be the token's user, and is by default. That is looked
// at before the password: a token is no way to guess passwords of others.
func (s *Service) passwordStage(ctx context.Context, r *round) (stageResult, error) {
	user, err := s.passwordSubject(ctx, r)
	if err != nil {
		return stageResult{}, err
	}
	result := stageResult{Subject: user}
	if r.Requester != nil && user != r.Requester.UserID {
		return result, errOtherUser
	}
	if id := r.auth.Identifier; user == "" && id != nil && id.User == "" {
		// CS API, Password-based: 403 for an address that nobody here has.
		return result, errWrongPassword.WithStatus(http.StatusForbidden)
	}
	var proof PasswordProof
	if r.Requester != nil {
		proof, err = s.CheckOwnPassword(ctx, user, r.auth.Password)
	} else {
		proof, err = s.tryPassword(ctx, string(user), user, r.auth.Password)
	}
	result.Password = proof.hash
	return result, err
}

func (s *Service) passwordSubject(ctx context.Context, r *round) (matrix.UserID, error) {
	id := r.auth.Identifier
	switch {
	case id != nil:
		resolved, err := ParseIdentifier(id.Type, id.User, id.Medium, id.Address, id.Country, id.Phone)
		if err != nil {
			return "", err
		}
		return s.Resolve(ctx, resolved)
	case r.auth.User != "":
		return s.Resolve(ctx, Identifier{User: r.auth.User})
	case r.Requester != nil:
		return r.Requester.UserID, nil
	}
	return "", matrix.Errorf(matrix.CodeMissingParam, "The password stage does not say whose password it is.")
}

// ParseIdentifier makes an [Identifier] of the wire's (CS API, Identifier
// types).
func ParseIdentifier(kind, user, medium, address, country, phone string) (Identifier, error) {
	switch kind {
	case "m.id.user":
		if user != "" {
			return Identifier{User: user}, nil
		}
	case "m.id.thirdparty":
		if medium != "" && address != "" {
			return Identifier{Medium: medium, Address: address}, nil
		}
	case "m.id.phone":
		if phone != "" {
			return Identifier{Medium: matrix.MediumMSISDN, Address: matrix.Dialled(country, phone)}, nil
		}
	case "":
		// As the specification's own example has it (CS API, Login).
		if medium != "" && address != "" {
			return Identifier{Medium: medium, Address: address}, nil
		}
		return Identifier{}, matrix.Errorf(matrix.CodeMissingParam, "The identifier has no type.")
	default:
		return Identifier{}, matrix.Errorf(matrix.CodeUnknown, "This server does not know identifiers of the type given.")
	}
	return Identifier{}, matrix.Errorf(matrix.CodeMissingParam, "The identifier lacks a key that its type needs.")
}

// threepidStage proves that the requester reads the mail of an address (CS API,
// Email-based and Phone number-based).
func (s *Service) threepidStage(ctx context.Context, r *round, medium string) (stageResult, error) {
	creds := r.auth.Creds
	if creds == nil {
		creds = r.auth.OldCreds
	}
	if creds == nil {
		return stageResult{}, matrix.Errorf(matrix.CodeMissingParam, "The stage needs threepid_creds.")
	}
	proof, err := s.Proven(ctx, creds.SID, creds.ClientSecret)
	if err != nil {
		return stageResult{}, err
	}
	if proof.Threepid.Medium != medium || proof.Purpose == storage.ForAdd {
		return stageResult{}, matrix.Errorf(matrix.CodeUnauthorized, "This address was validated for something else.")
	}
	result := stageResult{Threepid: &ProvenThreepid{
		Threepid: proof.Threepid, ValidatedAt: proof.ValidatedAt, SID: proof.SID,
	}}
	if proof.Purpose == storage.ForPassword {
		result.Subject, err = s.Resolve(ctx, Identifier{Medium: medium, Address: proof.Threepid.Address})
		if err == nil && result.Subject == "" {
			err = matrix.Errorf(matrix.CodeThreePIDNotFound, "No account has this address.")
		}
		if err == nil && r.Requester != nil && result.Subject != r.Requester.UserID {
			err = matrix.Errorf(matrix.CodeForbidden, "The address belongs to another user than the access token.").
				WithStatus(http.StatusForbidden)
		}
	}
	return result, err
}
