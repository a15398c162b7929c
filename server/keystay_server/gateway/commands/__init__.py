"""
THE COMMAND TABLE. Start reading here: a row is a command, what it takes, and who runs it.

To add a command: write its handler in the module of its first word, add its
name to `keystay_protocol.commands`, its row here, and its section to SPEC.md.
"""

from collections.abc import Mapping

from keystay_protocol.commands import CommandName as Name
from keystay_server.gateway.commands import events, session, time
from keystay_server.gateway.commands.signature import Row, anything, array, mapping, string

COMMANDS: Mapping[str, Row] = {
    # session: the life of the session that a connection holds
    Name.IS_VALID: Row(session.is_valid, string("sessionKey")),
    Name.RESTORE: Row(session.restore, string("sessionKey"), mapping("options", optional=True)),
    Name.LOGIN: Row(session.login, string("method"), anything("credentials", optional=True)),
    Name.LOGOUT: Row(session.logout, mapping("options", optional=True)),
    Name.LIST: Row(session.list_),
    # events: what a connection is subscribed to
    Name.SUBSCRIBE: Row(events.subscribe, array("paths")),
    Name.UNSUBSCRIBE: Row(events.unsubscribe, array("paths")),
    # time
    Name.NOW: Row(time.now),
}
