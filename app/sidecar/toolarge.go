package sidecar

import (
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// sizeTexts are what brokers and stores say about something that is larger than they take. The
// sidecar passes their words on, and gives all their failures one code: nothing else tells a
// message that will never be taken from a broker that is away.
var sizeTexts = []string{
	"Message was too large, server rejected it",                                  // Kafka
	"Attempt to produce message larger than configured Producer.MaxMessageBytes", // Kafka, before it is sent
	"the message is too large",                                                   // Service Bus
	"amqp:link:message-size-exceeded",                                            // Service Bus and Event Hubs
	"the EventData could not be added because it is too",                         // Event Hubs
	"is larger than configured max size",                                         // RabbitMQ
	"Request size is too large",                                                  // Cosmos DB
}

// tooLarge says whether a call failed for its size, and who says so.
func tooLarge(err error) (who string, is bool) {
	if status.Code(err) == codes.ResourceExhausted {
		return "the sidecar takes (its --max-body-size)", true
	}
	text := status.Convert(err).Message()
	for _, size := range sizeTexts {
		if strings.Contains(text, size) {
			return "the component behind the sidecar takes", true
		}
	}
	return "", false
}
