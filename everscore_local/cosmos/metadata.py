"""The account, its databases, containers and physical partitions."""

from typing import Any

import msgspec

from . import account, planning, rules
from .calls import Answer, Call, is_true
from .engine import Engine
from .errors import ServiceError
from .journal import Journal, Line
from .store import Store


class Metadata:
    """Reads and changes definitions; every change is in the journal before it is answered."""

    def __init__(self, store: Store, journal: Journal, engine: Engine, endpoint: str | None) -> None:
        """Take the parts; ``endpoint`` is the account's, None: the one at which a client asks."""
        self._endpoint = endpoint
        self._store = store
        self._journal = journal
        self._engine = engine

    def answer(self, call: Call) -> Answer:
        """Do what a request asks for.

        Raises:
            ServiceError: The refusal.
        """
        match call.verb, call.segments:
            case "GET", []:
                endpoint = self._endpoint or f"http://{call.headers.get('host', '')}/"
                return _json(account.describe_account(endpoint))
            case "POST", [*_, "docs"]:
                return _json(_plan(call))
            case _, ["dbs", *rest]:
                return self._databases(call, rest)
            case _, ["offers"]:
                return _json({"_rid": "", "Offers": [], "_count": 0})
            case _:
                raise ServiceError(404, "The stand-in has no such resource.")

    def _databases(self, call: Call, rest: list[str]) -> Answer:
        if call.verb == "POST" and is_true(call.headers, "x-ms-documentdb-isquery"):
            raise ServiceError(400, "The stand-in has no queries over databases and containers; list them.")
        match call.verb, rest:
            case "GET", []:
                return _list("Databases", [d.definition for d in self._store.databases.values()])
            case "POST", []:
                return _json(self.create_database(call.body), 201)
            case "GET", [name]:
                return _json(self._store.database(name).definition)
            case "DELETE", [name]:
                database = self._store.database(name)
                rid = database.definition["_rid"]
                self._journal.append(Line(drop_database=rid))
                for container in database.containers.values():
                    self._engine.drop(container.rid)
                self._store.drop_database(rid)
                return Answer(204)
            case _, [name, "colls", *deeper]:
                return self._containers(call, name, deeper)
            case _:
                raise ServiceError(404, "The stand-in has no such resource.")

    def _containers(self, call: Call, database: str, rest: list[str]) -> Answer:
        match call.verb, rest:
            case "GET", []:
                containers = self._store.database(database).containers.values()
                return _list("DocumentCollections", [c.definition for c in containers])
            case "POST", []:
                return _json(self.create_container(database, call.body), 201)
            case "GET", [name]:
                return _json(self._store.container(database, name).definition)
            case "PUT", [name]:
                return _json(self._replace_container(database, name, call.body))
            case "DELETE", [name]:
                container = self._store.container(database, name)
                self._journal.append(Line(drop_container=container.rid))
                self._engine.drop(container.rid)
                self._store.drop_container(container.rid)
                return Answer(204)
            case "GET", [name, "pkranges"]:
                definition = self._store.container(database, name).definition
                if call.headers.get("if-none-match") == definition["_etag"]:
                    return Answer(304, headers={"etag": definition["_etag"]})
                answer = _list("PartitionKeyRanges", account.describe_ranges(definition), definition["_rid"])
                answer.headers["etag"] = definition["_etag"]
                return answer
            case _:
                raise ServiceError(404, "The stand-in has no such resource.")

    def create_database(self, body: Any) -> dict[str, Any]:
        """Create a database and return its definition.

        Raises:
            ServiceError: 400 or 409.
        """
        definition = self._store.define_database(body)
        self._journal.append(Line(database=definition))
        self._store.add_database(definition)
        return definition

    def create_container(self, database: str, body: Any) -> dict[str, Any]:
        """Create a container and return its definition.

        Raises:
            ServiceError: 400, 404 or 409.
        """
        owner = self._store.database(database)
        definition = self._store.define_container(owner, body)
        self._set_container(owner.definition["_rid"], definition)
        return definition

    def change_container(self, database: str, name: str, changes: dict[str, Any]) -> None:
        """Change parts of a container's definition, where they differ.

        Raises:
            ServiceError: 400 or 404.
        """
        old = self._store.container(database, name).definition
        new = {**old, **changes}
        if "indexingPolicy" in changes:
            new["indexingPolicy"] = {**old["indexingPolicy"], **changes["indexingPolicy"]}
        if new != old:
            self._replace_container(database, name, new)

    def _replace_container(self, database: str, name: str, body: Any) -> dict[str, Any]:
        container = self._store.container(database, name)
        old = container.definition
        if not isinstance(body, dict) or body.get("id") != container.id:
            raise ServiceError(400, "The id of a container cannot be changed.")
        if (body.get("partitionKey") or {}).get("paths") != old["partitionKey"]["paths"]:
            raise ServiceError(400, "The partition key of a container cannot be changed.")
        own = {key: value for key, value in body.items() if key not in rules.SYSTEM_PROPERTIES}
        kept = {key: value for key, value in old.items() if key != "defaultTtl"}
        definition = {**kept, **own, "partitionKey": old["partitionKey"]}
        self._set_container(self._store.database(database).definition["_rid"], definition)
        return definition

    def _set_container(self, owner: str, definition: dict[str, Any]) -> None:
        self._journal.append(Line(container=definition, owner=owner))
        self._engine.define(self._store.add_container(owner, definition))


def _plan(call: Call) -> dict[str, Any]:
    query = call.body.get("query") if isinstance(call.body, dict) else None
    if not isinstance(query, str):
        raise ServiceError(400, "The body of a query needs 'query'.")
    planning.check_client(query, call.headers.get("x-ms-cosmos-supported-query-features", ""))
    return account.plan_query()


def _json(value: Any, status: int = 200) -> Answer:
    headers = {"etag": value["_etag"]} if "_etag" in value else {}
    return Answer(status, msgspec.json.encode(value), headers=headers)


def _list(name: str, values: list[dict[str, Any]], rid: str = "") -> Answer:
    return _json({"_rid": rid, name: values, "_count": len(values)})
